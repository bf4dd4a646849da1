"""Counts by two names, of all workers of a server together."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from viewfinder.telemetry.cells import Cells, Numbers, Place, Siblings

_ROOM = 128 * 1024
_FRESH_S = 0.5


class SharedTally:
    """Counts that outlive the worker that made them, as metrics do, in a room of their own.

    What this process counts is there at once; what the others count, within half a second.

    Args:
        place: Where this worker counts; None if it is alone.
        clock: Seconds, from any moment on.
    """

    def __init__(
        self, place: Place | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        own = None if place is None else replace(place, kind="tally")
        self._cells = Cells(own, room=_ROOM)
        self._siblings = Siblings(self._cells, own)
        self._clock = clock
        self._starts: dict[tuple[str, str], int] = {}
        self._others: list[Numbers] = []
        self._read_at: float | None = None
        self._forgotten: set[str] = set()

    def add(self, name: str, cells: Iterable[str]) -> None:
        """Count one more in each of the cells of a name, or in none if one finds no room."""
        self._forgotten.discard(name)
        starts = []
        for cell in cells:
            start = self._starts.get((name, cell))
            if start is None:
                start = self._starts[name, cell] = self._cells.run(name, (cell,), 1).start
            starts.append(start)
        if max(starts) < self._cells.end:
            for start in starts:
                self._cells.values[start] += 1

    def count(self, name: str, cell: str) -> float:
        """What has been counted in one cell of a name."""
        runs = ((worker, worker.series.get(name, {}).get((cell,))) for worker in self._workers())
        return sum(worker.values[run.start] for worker, run in runs if run is not None)

    def counts(self, name: str) -> Mapping[str, float]:
        """What has been counted in each cell of a name."""
        found: dict[str, float] = defaultdict(float)
        for worker in self._workers():
            for (cell,), run in worker.series.get(name, {}).items():
                found[cell] += worker.values[run.start]
        return found

    def names(self) -> Collection[str]:
        """What has been counted, by any process, and is not forgotten."""
        return {name for worker in self._workers() for name in worker.series} - self._forgotten

    def forget(self, name: str) -> None:
        """Nobody asks for it any more, until it is counted again."""
        self._forgotten.add(name)
        self._starts = {key: start for key, start in self._starts.items() if key[0] != name}

    def _workers(self) -> list[Numbers]:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _FRESH_S:
            self._read_at = now
            self._others = self._siblings.others()
        return [self._siblings.own, *self._others]
