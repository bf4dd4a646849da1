"""How far a run is: a bar on a terminal, a line now and then elsewhere; both on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from viewfinder.cli.console import say

if TYPE_CHECKING:
    from rich.progress import Progress

_EVERY_S = 10.0


class Watcher(Protocol):
    """Hears of each photo that is done."""

    def tell(self, *, failed: bool) -> None:
        """One more."""


class Silence:
    """Says nothing."""

    def tell(self, *, failed: bool) -> None:
        """See `Watcher.tell`."""


class Lines:
    """A line every few seconds, for files and pipes."""

    def __init__(
        self, total: int, resumed: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._resumed, self._clock = total, resumed, clock
        self._done, self._failed = 0, 0
        self._began = self._said = clock()

    def tell(self, *, failed: bool) -> None:
        """See `Watcher.tell`."""
        self._done += 1
        self._failed += failed
        now = self._clock()
        if now - self._said < _EVERY_S:
            return
        self._said = now
        speed = self._done / (now - self._began)
        left = (self._total - self._resumed - self._done) / speed
        say(
            f"{self._resumed + self._done:,} of {self._total:,} images, {self._failed:,} failed, "
            f"{speed:.1f} a second, {left:.0f} s left"
        )


class Bar:
    """A bar that moves."""

    def __init__(self, progress: "Progress", total: int, resumed: int) -> None:
        self._progress, self._failed = progress, 0
        self._bar = progress.add_task(
            "classifying", total=total, completed=resumed, pace="", failed=""
        )

    def tell(self, *, failed: bool) -> None:
        """See `Watcher.tell`."""
        self._failed += failed
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._bar,
            advance=1,
            pace=f"{speed:,.1f}/s" if speed is not None else "",
            failed=f"{self._failed:,} failed" if self._failed else "",
        )


@contextmanager
def watching(total: int, resumed: int = 0, *, shown: bool = True) -> Iterator[Watcher]:
    """Show how far it is, of how many photos, some of which were done before."""
    if not shown:
        yield Silence()
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield Bar(progress, total, resumed)
    else:
        yield Lines(total, resumed)


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        console=Console(stderr=True),
        redirect_stdout=False,
        redirect_stderr=False,
    )
