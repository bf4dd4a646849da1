"""How commands speak: answers to stdout, everything else to stderr."""

import contextlib
import io
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from viewfinder.shared.plain import printable


class _Said(logging.Handler):
    """Says what is logged before there is a log."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"viewfinder: {printable(record.getMessage())}")


_SAID = _Said()
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def prepare() -> None:
    """Make this process ready to speak to a terminal, a file or a pipe."""
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be UTF-8; inside JSON, the escape stands for the same name.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Pillow tells of damage that it copes with; a line for each such photo helps nobody.
    warnings.filterwarnings("ignore", module="PIL")
    # Only a server keeps a log; any other command says what is wrong in one line of its own.
    logging.getLogger("viewfinder").addHandler(logging.NullHandler())
    logging.getLogger("viewfinder.settings").addHandler(_SAID)


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; what is in the cells is text, whatever brackets it has."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=any(columns))
    for name in columns:
        # An id that is folded cannot be copied.
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    Console().print(table)


@contextlib.contextmanager
def progress_bar(*, shown: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, where that is a terminal; it is told what goes on, how far, of how many."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    progress = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
        redirect_stdout=False,
        redirect_stderr=False,
    )
    tasks: dict[str, Any] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    with progress:
        yield tell


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file that takes its name only when it is whole, and on the disk.

    What was there before is not lost.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}")
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def written(path: Path, *, newline: str | None = None) -> Iterator[TextIO]:
    """A file of text that takes its name only when it is whole; `newline` as in `open`."""
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline=newline) as file,
    ):
        yield file


def this_command() -> str:
    """How this command was called, for others that a person can copy."""
    called, found = Path(sys.argv[0]), shutil.which("viewfinder")
    if called.name == "__main__.py":
        return "python -m viewfinder"
    is_found = found is not None and called.exists() and called.samefile(found)
    return "viewfinder" if is_found else str(called)


def say(text: str) -> None:
    """Tell the person something that is not the answer."""
    sys.stderr.write(text + "\n")


def fail(text: str, *notes: str, code: int = 1) -> NoReturn:
    """End the command with one clear line, and notes below it.

    Args:
        text: What is wrong and what to do. It may hold what strangers wrote: what would move the
            cursor is escaped.
        notes: Written by us: an example, several ways on.
        code: The exit status.
    """
    say("\n".join([f"viewfinder: {printable(text)}", *notes]))
    sys.exit(code)
