"""What `viewfinder data check` has found: a section for each, one line for what is in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viewfinder.shared.plain import printable

if TYPE_CHECKING:
    from viewfinder.datasets.findings import Copy, Findings

_ROWS = 10


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


def print_report(findings: "Findings") -> None:
    """Print all of it."""
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
