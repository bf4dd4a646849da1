"""`viewfinder optimize`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, print_table, say
from viewfinder.shared.paths import absence
from viewfinder.training.options import MOST_SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from viewfinder.evaluation.ladder import Ladder
    from viewfinder.pipelines.optimize import Optimized

_SPARSITY = 0.7


def optimize(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which model.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="Photos to calibrate and measure with. Default: those of its training."),
    ] = None,
    max_drop: Annotated[
        float,
        typer.Option(
            metavar="POINTS", min=0, max=100, help="Accuracy that the recommended one may lose."
        ),
    ] = 1.0,
    prune: Annotated[
        bool, typer.Option("--prune", help="Set small weights to zero too, and train the rest on.")
    ] = False,
    sparsity: Annotated[
        float, typer.Option(help="With --prune: the share of weights, from 0 to 1.")
    ] = _SPARSITY,
    distill: Annotated[
        str | None, typer.Option(metavar="BACKBONE", help="Teach a smaller model too.")
    ] = None,
    student_weights: Annotated[
        str,
        typer.Option(metavar="imagenet|none|FILE", help="With --distill: what it begins with."),
    ] = "imagenet",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Of pruning, of teaching. Default: by the photos."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="How often each is timed, in turns.")
    ] = 3,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, help="Of everything left to chance.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Make a model smaller and quicker, measure every way on this machine, publish the best.

    What serves now goes on to serve until all is measured. Stop it whenever you like: the same
    command goes on from there.

    Example:  viewfinder optimize shoes --prune --distill mobilenet-v3-small
    """
    from datetime import UTC, datetime

    from viewfinder.cli.catalog import read_catalog
    from viewfinder.cli.making.progress import stopping, view
    from viewfinder.pipelines.optimize import optimize as carry_out
    from viewfinder.pipelines.task import OptimizeOptions
    from viewfinder.pipelines.workplace import workplace
    from viewfinder.settings import load_settings

    if not prune and sparsity != _SPARSITY:
        fail("--sparsity goes with --prune", code=2)
    if not 0 < sparsity < 1:
        fail("--sparsity lies between 0 and 1", code=2)
    if data is not None and not data.exists():
        fail(absence(data), code=2)
    options = OptimizeOptions(
        max_drop=max_drop / 100,
        prune=sparsity if prune else None,
        distill=distill,
        student_weights=student_weights,
        epochs=epochs,
        rounds=rounds,
        seed=seed,
    )
    bundle = read_catalog().resolve(model)
    with view() as listener, stopping() as asked:
        made = carry_out(
            bundle,
            options,
            workplace(load_settings()),
            data=data,
            listener=listener,
            now=lambda: datetime.now(UTC),
            should_stop=asked.is_set,
        )
    if as_json:
        _print_machine_line(made)
    else:
        _print_summary(made)


def _print_machine_line(made: "Optimized") -> None:
    manifest = made.bundle.manifest
    print_json(
        {
            "name": manifest.name,
            "version": manifest.version,
            "parent": made.parent.manifest.version,
            "recommended": manifest.recommended,
            "seconds": round(made.seconds, 1),
            "ladder": made.sealed.ladder.model_dump(mode="json"),
            "report": str(made.bundle.folder / "report.html"),
        }
    )


def _print_summary(made: "Optimized") -> None:
    from viewfinder.evaluation.report.ladder_words import verdicts

    manifest, ladder = made.bundle.manifest, made.sealed.ladder
    model = f"{manifest.name}@{manifest.version}"
    show(ladder)
    typer.echo()
    for sentence in verdicts(ladder):
        typer.echo(sentence)
    say("")
    say(
        f"{model} is published with {len(ladder.rows)} variants; a "
        "running server follows within seconds"
    )
    say(f"report   {made.bundle.folder / 'report.html'}")
    say(f"try it   viewfinder classify PHOTO --model {model}")


def show(ladder: "Ladder") -> None:
    """The variants as a table."""
    with_labels = ladder.basis == "accuracy"
    columns = ["", "MB", "zipped", "ms", "per s", "RAM MB"]
    columns += ["right", "points", "ECE"] if with_labels else ["agrees"]
    print_table(columns, _rows(ladder, with_labels=with_labels))


def _rows(ladder: "Ladder", *, with_labels: bool) -> "Iterator[list[str]]":
    from viewfinder.evaluation.report.verdict import percent

    for row in ladder.rows:
        mark = "* " if row.name == ladder.recommended else "  "
        cells = [
            f"{mark}{row.name}",
            _number(row.bytes, 1e6, 2),
            _number(row.compressed_bytes, 1e6, 2),
            _number(row.p50_ms, 1, 2),
            _number(row.throughput, 1, 0),
            _number(row.peak_bytes, 1e6, 0),
        ]
        if with_labels:
            points = f"{100 * row.difference.points.value:+.1f}" if row.difference else "-"
            cells += [percent(row.accuracy, 1000), points, _number(row.ece, 1, 3)]
        else:
            cells += [percent(row.agreement, 1000)]
        yield cells


def _number(value: float | None, unit: float, digits: int) -> str:
    return "-" if value is None else f"{value / unit:.{digits}f}"
