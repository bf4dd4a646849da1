"""`viewfinder models backbones`: what can be trained from, and how fast it is here."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewfinder.cli.console import Json, fail, print_json, print_table, say
from viewfinder.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from viewfinder.modeling.backbones import Backbone
    from viewfinder.pipelines.speeds import Speed

_EXTRA = "train"
# What is measured when nobody says what: a minute or two for all of them.
_SMALL = 7_000_000


def list_backbones(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all of them.")
    ] = None,
    *,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure those named, else the small ones, first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the backbones to train from: size, weights, and the time for a photo on this machine.

    Example:  viewfinder models backbones efficientnet-lite0 resnet50 --measure
    """
    from viewfinder.errors import InvalidParameterError
    from viewfinder.modeling.backbones import BACKBONES, check_backbone
    from viewfinder.pipelines.speeds import read_speeds
    from viewfinder.settings import load_settings

    for name in names or ():
        try:
            check_backbone(name)
        except InvalidParameterError as error:
            fail(str(error), code=2)
    chosen = [BACKBONES[name] for name in names or BACKBONES]
    home = load_settings().home
    measured: dict[str, Speed] = {}
    if measure:
        measured = _measure(chosen if names else [b for b in chosen if b.parameters < _SMALL], home)
    speeds = {**read_speeds(home), **measured}
    lines = [_describe(backbone, speeds.get(backbone.name)) for backbone in chosen]
    if as_json:
        print_json({"backbones": lines})
        return
    print_table(
        ("name", "input", "parameters", "MB", "weights", "ms a photo"),
        (
            (
                line["name"],
                line["input_size"],
                f"{line['parameters'] / 1e6:.1f} M",
                f"{line['megabytes']:.0f}",
                _weights_shown(line),
                "-" if line["milliseconds"] is None else f"{line['milliseconds']:.1f}",
            )
            for line in lines
        ),
    )
    _explain(lines)


def _describe(backbone: "Backbone", speed: Any) -> dict[str, Any]:
    from viewfinder.modeling.locations import are_here, keras_models_folder

    here = are_here(backbone, keras_models_folder())
    missing = "needs the extra" if backbone.weights_package else "download"
    return {
        "name": backbone.name,
        "family": backbone.family,
        "input_size": backbone.input_size,
        "parameters": backbone.parameters,
        "features": backbone.features,
        "megabytes": round(backbone.megabytes, 1),
        "weights": "here" if here else missing,
        "milliseconds": speed.milliseconds if speed else None,
        "measured": speed.date if speed else None,
    }


def _weights_shown(line: dict[str, Any]) -> str:
    weights: str = line["weights"]
    return f"download {line['megabytes']:.0f} MB" if weights == "download" else weights


def _explain(lines: Sequence[dict[str, Any]]) -> None:
    """Say what is not in the table, and how to get it."""
    if not _can_build():
        say(MissingExtraError("Training", _EXTRA).detail)
    dates = sorted({line["measured"] for line in lines if line["measured"] is not None})
    if dates:
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        say(f"ms a photo: float32 in LiteRT, one thread of this machine, measured {when}.")
    if any(line["measured"] is None for line in lines):
        say("To measure here: viewfinder models backbones [NAME]... --measure")


def _can_build() -> bool:
    import importlib.util

    return all(importlib.util.find_spec(name) for name in ("keras", "tensorflow"))


def _measure(chosen: Sequence["Backbone"], home: "Path") -> "dict[str, Speed]":
    """What was found, which is remembered as soon as it is."""
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import track

    from viewfinder.pipelines.speeds import Speed, remember_speeds

    if not _can_build():
        raise MissingExtraError("Measuring backbones", _EXTRA)
    from viewfinder.pipelines.measure import measure

    console = Console(stderr=True)
    found = {}
    for backbone in track(chosen, "measuring", console=console, disable=not sys.stderr.isatty()):
        speed = Speed(measure(backbone), datetime.now(UTC).date().isoformat())
        remember_speeds(home, {backbone.name: speed})
        found[backbone.name] = speed
    return found
