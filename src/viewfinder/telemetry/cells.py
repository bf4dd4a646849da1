"""Numbers that the workers of one server share: each writes its own, and everyone reads all.

A worker has a place, and a file of numbers for it. Whoever takes the place of one that died goes on
with its numbers, so that nothing that was counted is lost, and files do not become more.
"""

import contextlib
import json
import logging
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

logger = logging.getLogger(__name__)

_ROOM = 64 * 1024
_SPARE = 64  # at the end, for what there is no room for
_BYTES = 8
_PID = 0  # the first number says which process writes

Labels = tuple[str, ...]
"""The values of the labels of a metric."""

Series = dict[str, dict[Labels, range]]
"""Where the numbers of each series are, by the name of its metric."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one worker writes its numbers.

    Attributes:
        folder: That of the whole server.
        number: The worker's, from 0 on.
        kind: Which of its numbers these are.
    """

    folder: Path
    number: int
    kind: str = "metrics"

    @property
    def names(self) -> Path:
        """The file that says what the numbers are, a line of JSON each."""
        return self.folder / f"{self.number}.{self.kind}.names"

    @property
    def numbers(self) -> Path:
        """The file of the numbers, float64."""
        return self.folder / f"{self.number}.{self.kind}.numbers"


class Cells:
    """The numbers of this process.

    There is room for a fixed count of them: a server that runs for a year grows no further. What
    finds no room is counted nowhere, and the log says so once. Where no file can be had, the folder
    being gone or the disk full, this process keeps them to itself: to serve comes first. Files
    stay open as long as the process lives.

    Args:
        place: Where others can read them; None keeps them in this process.
        room: How many there may be.

    Attributes:
        values: float64 `[room]`.
        end: From here on are those that nobody reads.
    """

    def __init__(self, place: Place | None = None, *, room: int = _ROOM) -> None:
        self.series: Series = {}
        self._room = room
        self.end = room - _SPARE
        self._names: int | None = None
        self._full = False
        self._used = 1
        self._lock = threading.Lock()
        try:
            self._map = _opened(None if place is None else place.numbers, room)
            if place is not None:
                self._names = self._adopt(place)
        except (OSError, ValueError) as error:
            logger.warning("the metrics of this worker stay its own: %s", error)
            self._map = _opened(None, room)
        self.values = memoryview(self._map).cast("d")
        self.values[_PID] = float(os.getpid())

    def run(self, name: str, labels: Labels, count: int) -> range:
        """Where the numbers of a series are: the same ones each time it is asked for.

        Args:
            name: Of its metric.
            labels: Of the series.
            count: How many there are; always the same for a metric, at most 64.
        """
        with self._lock:  # two metrics may begin a series on two threads
            known = self.series.setdefault(name, {})
            run = known.get(labels)
            if run is not None:
                return run
            run = range(self._used, self._used + count)
            if run.stop > self._room - _SPARE or not self._tell(name, labels, run):
                return self._refuse(name, count)
            self._used = run.stop
            known[labels] = run
            return run

    def _adopt(self, place: Place) -> int:
        """Go on with what the last process in this place has counted; the open file of names."""
        series: Series = {}
        names = os.open(place.names, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            text = place.names.read_bytes()
            whole = text.rfind(b"\n") + 1
            os.truncate(names, whole)
            _take_in(text[:whole], series)
        except (OSError, ValueError):
            os.close(names)
            raise
        self.series, self._used = series, _used(series)
        return names

    def _tell(self, name: str, labels: Labels, run: range) -> bool:
        """Say what some numbers are, where others read that; whether there was room for it."""
        if self._names is None:
            return True
        line = json.dumps([name, labels, run.start, run.stop]).encode() + b"\n"
        end = os.fstat(self._names).st_size
        # One write: whoever reads, or dies, in between has the line or has it not.
        with contextlib.suppress(OSError):
            if os.write(self._names, line) == len(line):
                return True
        with contextlib.suppress(OSError):
            os.truncate(self._names, end)
        return False

    def _refuse(self, name: str, count: int) -> range:
        """The last cells, which nobody reads."""
        if not self._full:
            self._full = True
            logger.warning("there is no room for more metrics, such as %s", name)
        return range(self._room - count, self._room)


class Siblings:
    """Reads the numbers of all workers of a server, the dead ones' too.

    Args:
        own: Those of this process.
        place: Where this process writes; None if it is alone.
    """

    def __init__(self, own: Cells, place: Place | None) -> None:
        self._own = own
        self._place = place
        self._others: dict[int, _Other] = {}
        self._lock = threading.Lock()

    def read(self) -> "Iterator[Numbers]":
        """The numbers of each worker, at this moment; first those of this one."""
        yield self.own
        yield from self.others()

    @property
    def own(self) -> "Numbers":
        """The numbers of this worker, as they are whenever they are looked at."""
        return Numbers(os.getpid(), self._own.series, self._own.values)

    def others(self) -> "list[Numbers]":
        """The numbers of each other worker, at this moment; from any thread."""
        with self._lock:  # each remembers how far it has read
            return list(self._read_others())

    def _read_others(self) -> "Iterator[Numbers]":
        if self._place is None:
            return
        for path in self._place.folder.glob(f"*.{self._place.kind}.numbers"):
            number = int(path.name.partition(".")[0])
            if number == self._place.number:
                continue
            if number not in self._others:
                self._others[number] = _Other(replace(self._place, number=number))
            if (numbers := self._others[number].read()) is not None:
                yield numbers


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one worker has counted.

    Attributes:
        pid: The process; None if it has died.
        series: Where the numbers of each series are.
        values: The numbers.
    """

    pid: int | None
    series: Series
    values: Sequence[float] | memoryview


class _Other:
    """The files of another worker, of which only what is new is read again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._series: Series = {}
        self._read, self._used = 0, 1
        self._last: Numbers | None = None

    def read(self) -> Numbers | None:
        """The numbers now; those of before, if there are any, where that fails for a moment.

        Counts that are gone and come back would look like a server that has begun anew.
        """
        with contextlib.suppress(OSError, ValueError):
            self._last = self._read_now()
        return self._last

    def _read_now(self) -> Numbers:
        with self._place.names.open("rb") as names:
            names.seek(self._read)
            text = names.read()
        whole = text.rfind(b"\n") + 1
        if whole:
            _take_in(text[:whole], self._series)
            self._read += whole
            self._used = _used(self._series)
        with self._place.numbers.open("rb") as numbers:
            values = memoryview(numbers.read(self._used * _BYTES)).cast("d").tolist()
        if len(values) < self._used:
            raise ValueError(f"{len(values)} of {self._used} numbers")
        pid = int(values[_PID])
        return Numbers(pid if _is_alive(pid) else None, self._series, values)


def _opened(path: Path | None, room: int) -> mmap.mmap:
    if path is None:
        return mmap.mmap(-1, room * _BYTES)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        # Taken now: to find the disk full at a write to a mapped page ends the process.
        os.posix_fallocate(file.fileno(), 0, room * _BYTES)
        return mmap.mmap(file.fileno(), room * _BYTES)


def _take_in(text: bytes, series: Series) -> None:
    for line in text.splitlines():
        name, labels, start, stop = json.loads(line)
        series.setdefault(name, {})[tuple(labels)] = range(start, stop)


def _used(series: Series) -> int:
    return max((run.stop for runs in series.values() for run in runs.values()), default=1)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
