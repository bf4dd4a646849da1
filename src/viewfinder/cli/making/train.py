"""`viewfinder train`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, say
from viewfinder.shared.paths import absence
from viewfinder.training.options import MOST_SEED

if TYPE_CHECKING:
    from viewfinder.pipelines.train import Trained

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_HEADS = ("linear", "mlp")


def train(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A folder with a folder a class; or a CSV or JSONL."),
    ],
    *,
    name: Annotated[str, typer.Option(help="What the model is called.")],
    backbone: Annotated[
        str, typer.Option(help="See `viewfinder models backbones`.")
    ] = "efficientnet-lite0",
    weights: Annotated[
        str, typer.Option(metavar="imagenet|none|FILE", help="What the backbone begins with.")
    ] = "imagenet",
    head: Annotated[
        str, typer.Option(metavar="linear|mlp", help="mlp has a hidden layer of 1,024.")
    ] = "linear",
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune/--no-fine-tune", help="Let the upper blocks learn too, after the head."
        ),
    ] = True,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Default: by the number of photos.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="10m", help="The time that the whole may take.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Of everything left to chance.")
    ] = 0,
    int8: Annotated[bool, typer.Option("--int8/--no-int8", help="Quantise the model too.")] = True,
    as_json: Json = False,
) -> None:
    """Train a classifier from photos, measure it, and publish it for serving.

    Stop it whenever you like: the same command goes on from there.

    Example:  viewfinder train photos/ --name shoes --budget 10m
    """
    from datetime import UTC, datetime

    from viewfinder.cli.making.progress import stopping, view
    from viewfinder.pipelines.train import train as carry_out
    from viewfinder.pipelines.workplace import workplace
    from viewfinder.settings import load_settings
    from viewfinder.training.options import TrainingOptions

    if head not in _HEADS:
        fail(f"--head takes {' or '.join(_HEADS)}", code=2)
    if not data.exists():
        fail(absence(data), code=2)
    options = TrainingOptions(
        backbone=backbone,
        weights=weights,
        head="mlp" if head == "mlp" else "linear",
        fine_tune=fine_tune,
        epochs=epochs,
        budget_s=_seconds(budget) if budget is not None else None,
        seed=seed,
        int8=int8,
    )
    with view() as listener, stopping() as asked:
        trained = carry_out(
            data,
            name,
            options,
            workplace(load_settings()),
            listener=listener,
            now=lambda: datetime.now(UTC),
            should_stop=asked.is_set,
        )
    if as_json:
        _print_machine_line(trained)
    else:
        _print_summary(trained)


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        fail(f"--budget takes a time such as 90s, 10m or 1h30m, not {text!r}", code=2)
    return float(total)


def _print_machine_line(trained: "Trained") -> None:
    manifest = trained.bundle.manifest
    found = manifest.evaluation or {}
    print_json(
        {
            "name": manifest.name,
            "version": manifest.version,
            "seconds": round(trained.seconds, 1),
            "evaluation": {split: found.get(split) for split in ("validation", "test")},
            "report": str(trained.bundle.folder / "report.html"),
        }
    )


def _print_summary(trained: "Trained") -> None:
    from viewfinder.cli.making.evaluate import show

    manifest, folder = trained.bundle.manifest, trained.bundle.folder
    model = f"{manifest.name}@{manifest.version}"
    show(trained.evaluation)
    say("")
    say(f"{model} is published; a running server follows within seconds")
    say(f"report   {folder / 'report.html'}")
    say(f"curves   tensorboard --logdir {trained.logs.parent}")
    say(f"try it   viewfinder classify PHOTO --model {model}")
