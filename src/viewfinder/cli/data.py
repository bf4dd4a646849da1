"""`viewfinder data`: what is wrong with a data set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewfinder.cli.console import Json, print_json, printable, progress_bar

if TYPE_CHECKING:
    from viewfinder.datasets.check import Copy, Findings, Suspect
    from viewfinder.datasets.photos import Dataset
    from viewfinder.settings import Settings

app = typer.Typer(help="Look at labelled photos before learning from them.", no_args_is_help=True)

_ROWS = 10


@app.command("check")
def check(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder for each class (or train/, validation/, test/ with "
            "these), or a .csv or .jsonl file of paths and labels.",
            show_default=False,
        ),
    ],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@V]",
            help="Ask this model which labels are probably wrong.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find corrupt photos, duplicates, leaks between splits, small classes, odd sizes.

    Nothing is changed. Exit 0 if the report could be made, whatever it says.

    Example:  viewfinder data check photos/ --model shoes@3
    """
    from viewfinder.datasets.check import check_dataset
    from viewfinder.datasets.source import read_dataset
    from viewfinder.settings import load_settings

    settings = load_settings()
    dataset = read_dataset(data)
    with _told("looking", dataset) as progress:
        findings = check_dataset(
            dataset, limits=settings.limits, threads=settings.compute_threads, progress=progress
        )
    if model is not None:
        name, suspects = _ask(model, dataset, settings)
        findings = findings.model_copy(update={"model": name, "wrong_labels": suspects})
    if as_json:
        print_json(findings.model_dump(mode="json"))
    else:
        _print(findings)


def _ask(model: str, dataset: "Dataset", settings: "Settings") -> tuple[str, tuple["Suspect", ...]]:
    """The model's full name, and the labels that it does not believe."""
    from viewfinder.cli.models import read_catalog
    from viewfinder.engines.loader import load_variant
    from viewfinder.pipelines.labels import suspect_labels

    bundle = read_catalog().resolve(model)
    threads = settings.compute_threads
    loaded = load_variant(bundle, threads=threads, device=settings.device)
    try:
        with _told("asking", dataset) as progress:
            suspects = suspect_labels(
                dataset, loaded, limits=settings.limits, threads=threads, progress=progress
            )
    finally:
        loaded.engine.close()
    return f"{bundle.manifest.name}@{bundle.manifest.version}", suspects


@contextmanager
def _told(doing: str, dataset: "Dataset") -> Iterator[Callable[[int, int], None]]:
    with progress_bar(doing, len(dataset.photos)) as bar:
        (task,) = bar.task_ids
        yield lambda done, _: bar.update(task, completed=done)


# The report. A section for each finding, and one line for all that is in order.

_Rows = Sequence[Sequence[object]]


def _print(findings: "Findings") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    short = _short(findings)
    console.print(
        Text.assemble(
            (printable(findings.source), "bold"),
            f"  {findings.photos:,} photos, {len(findings.classes)} classes",
        )
    )
    console.print()
    _print_classes(console, findings)
    fine = []
    for title, hint, columns, rows, word in _sections(findings, short):
        if not rows:
            fine.append(word)
            continue
        console.print()
        console.print(Text.assemble(("! ", "yellow"), (title, "bold"), ". ", (hint, "dim")))
        _print_rows(console, columns, rows)
    if fine:
        console.print()
        console.print(Text.assemble(("ok ", "green"), f"no {', no '.join(fine)}"))


def _short(findings: "Findings") -> Callable[[str], str]:
    from viewfinder.datasets.check import paths_under

    under = paths_under(findings)
    return lambda path: printable(under(path))


def _print_classes(console: Any, findings: "Findings") -> None:
    from rich.table import Table
    from rich.text import Text

    tiny = {one.label for one in findings.tiny_classes}
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    for name in ("photos", "train", "validation", "test"):
        table.add_column(name, justify="right")
    for one in findings.classes:
        numbers = [Text(f"{n:,}") for n in (one.photos, one.train, one.validation, one.test)]
        if one.label in tiny:
            numbers[1].stylize("yellow")
        table.add_row(Text(one.label), *numbers)
    console.print(table)
    if not findings.is_split:
        console.print(Text("The data set has no splits: these are what training makes.", "dim"))


_Section = tuple[str, str, Sequence[str], _Rows, str]


def _sections(findings: "Findings", short: Callable[[str], str]) -> Iterator[_Section]:
    """Title, what to do, columns, rows, and what it is called where there is none."""
    from viewfinder.datasets.check import TINY

    yield (
        f"{_many(findings.corrupt, 'photo')} cannot be used",
        "Training leaves them out.",
        ("", ""),
        [(short(one.path), one.reason) for one in findings.corrupt],
        "corrupt photos",
    )
    yield (
        f"{_many(findings.leaks, 'group')} of copies in several splits",
        "A model is measured by what it has learned: keep each in one split.",
        ("", "", "class", "split"),
        _copies(findings.leaks, short),
        "leaks between splits",
    )
    yield (
        f"{_many(findings.conflicts, 'group')} of copies with several labels",
        "Choose one.",
        ("", "", "class", "split"),
        _copies(findings.conflicts, short),
        "copies with several labels",
    )
    yield (
        f"{_many(findings.exact_duplicates, 'group')} of identical files",
        "One of each is enough.",
        ("", "", "class", "split"),
        _copies(findings.exact_duplicates, short),
        "identical files",
    )
    yield (
        f"{_many(findings.near_duplicates, 'group')} of photos that look the same",
        "One of each is enough.",
        ("", "", "class", "split"),
        _copies(findings.near_duplicates, short),
        "near duplicates",
    )
    yield (
        f"{_many(findings.tiny_classes, 'class', 'classes')} with less than {TINY} photos to train",
        "Add photos, or put classes together.",
        ("class", "train"),
        [(one.label, one.train) for one in findings.tiny_classes],
        "tiny classes",
    )
    skew = findings.skew
    yield (
        "The classes are of very different size",
        "The small ones will be missed; add photos of them.",
        ("", ""),
        []
        if skew is None
        else [(f"{skew.largest} has {skew.ratio:,.0f} times the photos of {skew.smallest}", "")],
        "skew",
    )
    yield (
        f"{_many(findings.sizes, 'photo')} of a suspicious size",
        "Thumbnails, strips and icons teach little.",
        ("", "pixels", ""),
        [(short(one.path), f"{one.width} x {one.height}", one.reason) for one in findings.sizes],
        "suspicious sizes",
    )
    yield (
        f"{_many(findings.passed_over, 'file')} passed over",
        "Not called as a photo is, or in no class.",
        ("",),
        [(short(path),) for path in findings.passed_over],
        "other files",
    )
    if findings.wrong_labels is not None:
        yield (
            f"{_many(findings.wrong_labels, 'label')} that {findings.model} does not believe",
            "Look at these first.",
            ("", "label", "rather", ""),
            [
                (short(one.path), one.label, one.suggested, f"{one.confidence:.0%}")
                for one in findings.wrong_labels
            ],
            f"labels that {findings.model} does not believe",
        )


def _many(found: Sequence[object], one: str, several: str | None = None) -> str:
    return f"{len(found):,} {one if len(found) == 1 else several or one + 's'}"


def _copies(groups: Iterable[Sequence["Copy"]], short: Callable[[str], str]) -> _Rows:
    return [
        (number if copy is group[0] else "", short(copy.path), copy.label, copy.split or "")
        for number, group in enumerate(groups, 1)
        for copy in group
    ]


def _print_rows(console: Any, columns: Sequence[str], rows: _Rows) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, show_header=any(columns), header_style="dim", padding=(0, 2, 0, 0), pad_edge=False
    )
    table.add_column("", width=1)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in islice(rows, _ROWS):
        table.add_row("", *(Text(str(cell)) for cell in row))
    console.print(table)
    if len(rows) > _ROWS:
        console.print(Text(f"   and {len(rows) - _ROWS:,} more; --json has them all", "dim"))
