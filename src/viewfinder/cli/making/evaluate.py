"""`viewfinder evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, print_table, progress_bar, say, written
from viewfinder.shared.paths import absence

if TYPE_CHECKING:
    from viewfinder.evaluation.document import Evaluation, SplitEvaluation

_CLASSES_SHOWN = 20
_PAIRS_SHOWN = 5
_DOCUMENT = "evaluation.json"
_UNSEEN = {"validation", "test"}


def evaluate(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which model.")],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="As for data check: a folder, .csv, .tsv or .jsonl."),
    ],
    *,
    against: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="Another model to compare with.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="train|validation|test|all",
            help="Default: test if there is one, else validation, else all.",
        ),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="One of its graphs; default: the recommended one.")
    ] = None,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave out photos whose label is unknown to it.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help=f"Write a report here, and {_DOCUMENT} beside it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on labelled photos, with the code that serves it.

    Example:  viewfinder evaluate shoes@3 photos/ --against shoes@2 --report report.html
    """
    from datetime import UTC, datetime

    from viewfinder.cli.catalog import read_catalog
    from viewfinder.datasets.sources.source import read_dataset
    from viewfinder.evaluation.report.page import render_report
    from viewfinder.pipelines.evaluate import PARTS, evaluate_model
    from viewfinder.pipelines.sources import has_learned_from
    from viewfinder.settings import load_settings

    if split is not None and split not in PARTS:
        fail(f"--split is one of {', '.join(PARTS)}", code=2)
    if report is not None and (report.suffix.lower() != ".html" or not report.parent.is_dir()):
        fail("--report takes a file that ends in .html, in a folder that exists", code=2)
    if not data.exists():
        fail(absence(data), code=2)
    settings, catalog = load_settings(), read_catalog()
    bundle = catalog.resolve(model)
    other = catalog.resolve(against) if against is not None else None
    dataset = read_dataset(data, to_learn=False)
    with progress_bar() as progress:
        found = evaluate_model(
            bundle,
            dataset,
            settings=settings,
            created=datetime.now(UTC),
            progress=progress,
            against=other,
            part=split,
            variant=variant,
            known_only=known_only,
        )
    provenance = bundle.manifest.provenance
    if not _UNSEEN & found.splits.keys() and has_learned_from(settings.home, provenance, data):
        say(
            f"{found.model} has learned from photos among these, and so looks better than it is: "
            "name a folder of photos kept apart, such as photos/test"
        )
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        show(found)
    if report is not None:
        html = render_report(found, photos=dataset.root, limits=settings.limits)
        with written(report) as file:
            file.write(html)
        with written(report.with_name(_DOCUMENT)) as file:
            file.write(found.model_dump_json(indent=1) + "\n")
        say(f"the report: {report}, and the numbers: {report.with_name(_DOCUMENT)}")
    elif not as_json:
        say("a report with plots and the worst mistakes: --report report.html")


def show(found: "Evaluation") -> None:
    """A verdict that can be read, then the numbers."""
    from viewfinder.evaluation.report import verdict

    result = found.result
    typer.echo(f"{found.model} ({found.variant}) on {found.data}\n")
    typer.echo(f"{verdict.headline(found)}.")
    for sentence in verdict.sentences(found):
        typer.echo(sentence)
    if found.comparison is not None:
        _, other = verdict.told_apart(found, found.comparison.evaluation)
        typer.echo(verdict.compared(found.comparison, other))
    if found.ignored:
        typer.echo(f"Left out: {verdict.count(found.ignored)} with labels it does not know.")
    if result.skipped:
        typer.echo(f"Skipped: {verdict.count(len(result.skipped))} that cannot be decoded.")
    typer.echo()
    _show_numbers(found)
    _show_pairs(result)
    _show_classes(result)


def _show_numbers(found: "Evaluation") -> None:
    from viewfinder.evaluation.report.verdict import told_apart

    results = [(found.model, found.result)]
    if found.comparison is not None:
        other = found.comparison.evaluation
        name, other_name = told_apart(found, other)
        results = [(name, found.result), (other_name, other.result)]
    columns = [_numbers(result) for _, result in results]
    print_table(
        ("", *(name for name, _ in results)),
        ((rows[0][0], *(value for _, value in rows)) for rows in zip(*columns, strict=True)),
    )


def _numbers(result: "SplitEvaluation") -> list[tuple[str, str]]:
    from viewfinder.evaluation.report.verdict import percent, within

    n, answered = result.photos, result.accuracy_answered
    shares = [
        ("accuracy", result.accuracy),
        (f"top-{result.top_k}", result.top5_accuracy),
        ("macro F1", result.macro_f1),
    ]
    return [
        ("photos", f"{n:,}"),
        *((what, f"{percent(share.value, n)}  ({within(share, n)})") for what, share in shares),
        ("calibration error", f"{result.ece:.3f}"),
        ("with temperature 1", f"{result.ece_uncalibrated:.3f}"),
        ("log loss", f"{result.nll.value:.3f}"),
        ("answered", percent(result.coverage, n)),
        ("right of those", percent(answered.value if answered is not None else None, n)),
    ]


def _show_pairs(result: "SplitEvaluation") -> None:
    from viewfinder.evaluation.report.verdict import percent

    if result.confused:
        typer.echo()
        print_table(
            ("shows", "taken for", "photos", "of its class"),
            (
                (pair.label, pair.answer, pair.photos, percent(pair.share))
                for pair in result.confused[:_PAIRS_SHOWN]
            ),
        )


def _show_classes(result: "SplitEvaluation") -> None:
    from viewfinder.evaluation.report.page import worst_first
    from viewfinder.evaluation.report.verdict import percent

    rows = [one for one in worst_first(result.classes) if one.support]
    typer.echo()
    print_table(
        ("class, worst first", "photos", "recall", "precision", "F1"),
        (
            (
                one.label,
                one.support,
                percent(one.recall.value if one.recall is not None else None),
                percent(one.precision),
                percent(one.f1),
            )
            for one in rows[:_CLASSES_SHOWN]
        ),
    )
    if len(rows) > _CLASSES_SHOWN:
        typer.echo(f"and {len(rows) - _CLASSES_SHOWN} better ones")
