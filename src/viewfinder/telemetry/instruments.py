"""Counters, gauges and histograms, as Prometheus has them.

Why not `prometheus_client`: see docs/decisions/0023-metrics.md.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from viewfinder.telemetry.cells import Cells, Labels

Kind = Literal["counter", "gauge", "histogram"]
Combine = Literal["sum", "min", "max"]

ABSENT = math.nan
"""What stands in a gauge that says nothing."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a metric is.

    Attributes:
        name: As Prometheus shows it.
        kind: Its type.
        description: One line.
        labels: Their names.
        buckets: Upper bounds of a histogram, rising; the last, infinity, is not among them.
        combine: What the gauges of several workers come to.
    """

    name: str
    kind: Kind
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    combine: Combine = "sum"


class _Instrument:
    """A metric in the cells of this process.

    Threads may use one at the same time: an addition reads, adds and writes.

    Args:
        family: What it is.
        cells: Where its numbers are.
    """

    cells_of_each = 1

    def __init__(self, family: Family, cells: Cells) -> None:
        self.family = family
        self._cells = cells
        self._values = cells.values
        self._starts: dict[Labels, int] = {}
        self._lock = threading.Lock()
        if not family.labels:
            self._start(())  # shown from the beginning, as 0

    def _start(self, labels: Labels) -> int:
        start = self._starts.get(labels)
        if start is None:
            with self._lock:
                start = self._starts[labels] = self._new(labels)
        return start

    def _new(self, labels: Labels) -> int:
        if len(labels) != len(self.family.labels):
            raise ValueError(f"{self.family.name} has the labels {self.family.labels}")
        return self._cells.run(self.family.name, labels, self.cells_of_each).start


class Counter(_Instrument):
    """Only grows."""

    def __init__(self, family: Family, cells: Cells) -> None:
        super().__init__(family, cells)
        self._followed: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Count one, or so many, of the series with these values of the labels."""
        start = self._start(labels)
        with self._lock:
            self._values[start] += by

    def follow(self, total: float, *labels: str) -> None:
        """Take over what somebody else counts since the process began."""
        before = self._followed.get(labels, 0.0)
        self._followed[labels] = total
        # Who counts may have begun anew.
        self.add(*labels, by=total - before if total >= before else total)


class Gauge(_Instrument):
    """Goes up and down."""

    def __init__(self, family: Family, cells: Cells) -> None:
        for run in cells.series.get(family.name, {}).values():
            cells.values[run.start] = ABSENT  # how the last process in this place was
        super().__init__(family, cells)

    def _new(self, labels: Labels) -> int:
        start = super()._new(labels)
        self._values[start] = ABSENT
        return start

    def set(self, value: float, *labels: str) -> None:
        """Say how it is."""
        self._values[self._start(labels)] = value

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Say how all of them are; those that are not named are no more."""
        for labels in self._starts.keys() - values.keys():
            self.set(ABSENT, *labels)
        for labels, value in values.items():
            self.set(value, *labels)


class Histogram(_Instrument):
    """How values are distributed: a cell for each bucket, not cumulative, and one for the sum."""

    def __init__(self, family: Family, cells: Cells) -> None:
        self._buckets: Sequence[float] = family.buckets
        self._sum = len(family.buckets) + 1
        self.cells_of_each = self._sum + 1
        super().__init__(family, cells)

    def observe(self, value: float, *labels: str) -> None:
        """Take a value in."""
        start = self._start(labels)
        place = start + bisect_left(self._buckets, value)
        with self._lock:
            self._values[place] += 1
            self._values[start + self._sum] += value
