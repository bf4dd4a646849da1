"""What a person sees while a model is trained."""

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from viewfinder.cli.console import say
from viewfinder.training.progress import TUNING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import TaskID

    from viewfinder.training.progress import Epoch, Listener, Phase

_TITLES: dict["Phase", str] = {
    "model": "Building the model",
    "photos": "Reading photos",
    "features": "Looking at them",
    "head": "Training the head",
    "fine-tuning": "Fine-tuning",
    "pruning": "Pruning",
    "distilling": "Distilling",
    "converting": "Converting",
    "evaluating": "Measuring",
    "timing": "Timing",
    "testing": "Testing the best",
}


@contextmanager
def view() -> "Iterator[Listener]":
    """A live picture on a terminal, plain lines elsewhere; both on stderr."""
    with _libraries_unheard():
        if not sys.stderr.isatty():
            yield Lines()
            return
        live = Live()
        with live.progress:
            yield live
            live.settle()  # only then: what was stopped has not been done


@contextmanager
def _libraries_unheard() -> "Iterator[None]":
    """Keep what TensorFlow's libraries write to the file descriptor 2 off the terminal.

    They have no setting for it: their first lines come before any is read.
    """
    sys.stderr.flush()
    own = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    before = sys.stderr
    try:
        with open(own, "w", buffering=1, errors="backslashreplace", closefd=False) as stderr:
            sys.stderr = stderr
            yield
    finally:
        sys.stderr = before
        os.dup2(own, 2)
        os.close(own)
        os.close(nowhere)


@contextmanager
def stopping() -> "Iterator[threading.Event]":
    """The first Ctrl-C, or SIGTERM, asks the work to stop; the second one ends it on the spot."""
    asked = threading.Event()

    def ask(number: int, _frame: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])
        # Not by the stream, which may be in the middle of a line of its own.
        os.write(sys.stderr.fileno(), b"stopping ... (again to stop at once)\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Lines:
    """A line for each phase and each of the epochs that take long, for files and pipes."""

    def __init__(self) -> None:
        self._phase: Phase | None = None
        self._last: Epoch | None = None

    def phase(self, name: "Phase", total: int) -> None:
        """See `Listener`."""
        self._tell_head()
        self._phase = name
        say(f"{_TITLES[name]}" + (f" ({total:,} steps)" if total else ""))

    def step(self, done: int) -> None:
        """See `Listener`."""

    def epoch(self, epoch: "Epoch") -> None:
        """See `Listener`."""
        self._last = epoch
        if epoch.phase in TUNING:
            say(f"  epoch {epoch.number}: {_standing(epoch)}")

    def note(self, text: str) -> None:
        """See `Listener`."""
        say(text)

    def _tell_head(self) -> None:
        if self._phase == "head" and self._last is not None:
            say(f"  {_standing(self._last)}")


class Live:
    """A row for each phase: what it does, how far it is, how well, how long still."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress: Progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            # How long still; once the phase is over, how long it took.
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[standing]}"),
            console=Console(stderr=True),
            redirect_stdout=False,
        )
        self._task: TaskID | None = None

    def phase(self, name: "Phase", total: int) -> None:
        """See `Listener`."""
        self.settle()
        self._task = self.progress.add_task(
            f"{_TITLES[name]:<18}", total=total or None, standing=""
        )

    def step(self, done: int) -> None:
        """See `Listener`."""
        if self._task is not None:
            self.progress.update(self._task, completed=done)

    def epoch(self, epoch: "Epoch") -> None:
        """See `Listener`."""
        if self._task is not None:
            self.progress.update(self._task, standing=_standing(epoch))

    def note(self, text: str) -> None:
        """See `Listener`."""
        from rich.text import Text

        self.progress.console.print(Text(text))

    def settle(self) -> None:
        """The phase is over, however many steps it took."""
        if self._task is not None:
            task = self.progress.tasks[self._task]
            total = task.completed or 1
            self.progress.update(self._task, total=total, completed=total)


def _standing(epoch: "Epoch") -> str:
    if epoch.validation_accuracy is None:
        return f"{epoch.accuracy:.1%} of training photos"
    return f"{epoch.validation_accuracy:.1%} of validation photos"
