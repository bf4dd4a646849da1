"""`viewfinder data`: what is wrong with a data set."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewfinder.cli.console import Json, fail, print_json, progress_bar
from viewfinder.shared.paths import absence
from viewfinder.shared.plain import printable

if TYPE_CHECKING:
    from viewfinder.datasets.findings import Copy, Findings, Suspect
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
            "these), or a .csv, .tsv or .jsonl file of paths and labels.",
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
    from viewfinder.datasets.sources.source import read_dataset
    from viewfinder.settings import load_settings

    if not data.exists():
        fail(absence(data), code=2)
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
    with progress_bar() as bar:
        yield lambda done, _: bar(doing, done, len(dataset.photos))


# The report: a section for each finding, and one line for all that is in order.


@dataclass(frozen=True, slots=True)
class _Section:
    """A finding.

    Attributes:
        absent: What there is none of, if there are no rows.
        title: What was found.
        hint: What to do about it.
        rows: Cells, as many as there are columns.
        columns: Their names; empty ones are not shown.
    """

    absent: str
    title: str
    hint: str
    rows: Sequence[Sequence[object]]
    columns: Sequence[str] = ("", "", "", "")


def _print(findings: "Findings") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(printable(findings.source), "bold"), soft_wrap=True)
    console.print(f"{findings.photos:,} photos, {len(findings.classes)} classes\n")
    _print_classes(console, findings)
    sections = list(_sections(findings))
    for section in sections:
        if section.rows:
            _print_section(console, section)
    fine = ", no ".join(section.absent for section in sections if not section.rows)
    if fine:
        console.print(Text.assemble(("\nok ", "green"), f"no {fine}"))


def _print_classes(console: Any, findings: "Findings") -> None:
    from rich.table import Table
    from rich.text import Text

    tiny = {one.label for one in findings.tiny_classes}
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    for name in ("photos", "train", "validation", "test"):
        table.add_column(name, justify="right")
    for one in findings.classes:
        train = Text(f"{one.train:,}", "yellow" if one.label in tiny else "")
        table.add_row(
            Text(one.label), f"{one.photos:,}", train, f"{one.validation:,}", f"{one.test:,}"
        )
    console.print(table)
    if not findings.is_split:
        console.print(Text("No splits are given: these are like those that training makes.", "dim"))


def _print_section(console: Any, section: _Section) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text.assemble(("\n! ", "yellow"), (section.title, "bold")))
    console.print(Text(f"  {section.hint}", "dim"))
    columns = section.columns[: len(section.rows[0])]
    table = Table(
        box=None, show_header=any(columns), header_style="dim", padding=(0, 2, 0, 0), pad_edge=False
    )
    table.add_column("", width=0)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in section.rows[:_ROWS]:
        table.add_row("", *(Text(str(cell)) for cell in row))
    console.print(table)
    more = len(section.rows) - _ROWS
    if more > 0:
        console.print(Text(f"  and {more:,} more; --json has them all", "dim"))


def _sections(findings: "Findings") -> Iterator[_Section]:
    from viewfinder.datasets.check import TINY
    from viewfinder.datasets.findings import paths_under

    under = paths_under(findings)

    def short(path: str) -> str:
        return printable(under(path))

    yield _Section(
        "corrupt photos",
        f"{_many(findings.corrupt, 'photo')} cannot be used",
        "Training leaves them out.",
        [(short(one.path), one.reason) for one in findings.corrupt],
    )
    yield from _copies(findings, short)
    yield _Section(
        "tiny classes",
        f"{_many(findings.tiny_classes, 'class', 'classes')} with under {TINY} photos in train",
        "Add photos, or put classes together.",
        [(one.label, one.train) for one in findings.tiny_classes],
        ("class", "train"),
    )
    skew = findings.skew
    yield _Section(
        "skew",
        "The classes are of very different size",
        "A model will prefer the large ones: add photos to the small.",
        [(f"{skew.largest} has {skew.ratio:,.0f} times the photos of {skew.smallest}",)]
        if skew
        else (),
    )
    yield _Section(
        "suspicious sizes",
        f"{_many(findings.sizes, 'photo')} of a suspicious size",
        "Thumbnails, strips and icons teach little.",
        [(short(one.path), f"{one.width} x {one.height}", one.reason) for one in findings.sizes],
        ("", "pixels", ""),
    )
    yield _Section(
        "other files",
        f"{_many(findings.passed_over, 'file')} passed over",
        "They are not called as a photo is, or are in no class.",
        [(short(path),) for path in findings.passed_over],
    )
    if findings.wrong_labels is not None:
        yield _Section(
            f"labels that {findings.model} does not believe",
            f"{_many(findings.wrong_labels, 'label')} that {findings.model} does not believe",
            "The most suspicious first. Look at the photos: the model may be wrong.",
            [
                (short(one.path), one.label, printable(one.suggested), f"{one.confidence:.0%}")
                for one in findings.wrong_labels
            ],
            ("", "label", "rather", ""),
        )


def _copies(findings: "Findings", short: Callable[[str], str]) -> Iterator[_Section]:
    def section(absent: str, groups: Sequence[Sequence["Copy"]], title: str, hint: str) -> _Section:
        rows = [
            (number if copy is group[0] else "", short(copy.path), copy.label, copy.split)
            for number, group in enumerate(groups, 1)
            for copy in group
        ]
        columns = ("", "", "class", "split") if findings.is_split else ("", "", "class")
        title = f"{_many(groups, 'group')} of {title}"
        return _Section(absent, title, hint, [row[: len(columns)] for row in rows], columns)

    yield section(
        "leaks between splits",
        findings.leaks,
        "copies in several splits",
        "A model would be measured by what it has learned: keep each in one split.",
    )
    yield section(
        "copies with several labels",
        findings.conflicts,
        "copies with several labels",
        "Choose one label for each group.",
    )
    yield section(
        "identical files", findings.exact_duplicates, "identical files", "One of each is enough."
    )
    yield section(
        "near duplicates",
        findings.near_duplicates,
        "photos that look the same",
        "One of each is enough.",
    )


def _many(found: Sequence[object], one: str, several: str | None = None) -> str:
    return f"{len(found):,} {one if len(found) == 1 else several or one + 's'}"
