"""The variants of a version side by side: what each costs, what each is worth, and which to serve.

The choice is by point estimate, as a person would make it from the table; intervals and tests stand
beside it, to say how much of a difference may be chance.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.significance import Compared

ALIKE = 0.03
"""Times that differ by less, relatively, are taken for the same: machines are noisy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(_Part):
    """Accuracy less that of the reference, on the same photos. See `significance.Compared`."""

    points: Estimate
    p_value: float

    @classmethod
    def of(cls, compared: Compared) -> Self:
        """From a comparison in which the reference is the first."""
        return cls(
            points=Estimate.of(compared.difference, (compared.low, compared.high)),
            p_value=compared.p_value,
        )


class VariantRow(_Part):
    """One of the version's graphs, to compare them. What was not measured is None.

    Attributes:
        name: Of the variant.
        bytes: Of its files.
        what: What was done to the model.
        format: Of the file.
        compressed_bytes: Of its files after zlib, as a download has them.
        p50_ms: Milliseconds of one photo on one thread, the median.
        throughput: Photos a second with all threads at work.
        peak_bytes: The most memory that a process with it alone had.
        accuracy: Top-1 on the validation photos, 0-1.
        difference: From the reference's accuracy.
        agreement: The share of photos on which its answer is the reference's.
        ece: Expected calibration error on the validation photos, at its own temperature.
        temperature: What its logits are divided by.
    """

    name: str
    bytes: int
    what: str = ""
    format: str = ""
    compressed_bytes: int | None = None
    p50_ms: float | None = None
    throughput: float | None = None
    peak_bytes: int | None = None
    accuracy: float | None = None
    difference: Difference | None = None
    agreement: float | None = None
    ece: float | None = None
    temperature: float = 1.0


class LeftOut(_Part):
    """A variant that there is not, and why."""

    name: str
    why: str


class Ladder(_Part):
    """All variants, and the choice among them.

    Attributes:
        rows: In the order in which they were made.
        reference: The one that the others are compared with.
        recommended: The one to serve.
        max_drop: Accuracy that it may lose, 0-1.
        basis: What the choice went by. Without the labels of photos, agreement takes the place of
            accuracy: who gives the reference's answer on 99 photos of 100 cannot be right on more
            than one fewer.
        photos: How many it went by.
        threads: Of the throughput.
        machine: The processor.
        left_out: What there is not.
        notes: What else was found out on the way.
    """

    rows: tuple[VariantRow, ...]
    reference: str
    recommended: str
    max_drop: float
    basis: Literal["accuracy", "agreement", "nothing"]
    photos: int
    threads: int
    machine: str
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def row(self, name: str) -> VariantRow:
        """The row of a variant."""
        return next(row for row in self.rows if row.name == name)

    @property
    def worth(self) -> str:
        """What the choice went by, as a column is called."""
        return "right" if self.basis == "accuracy" else "agrees"


def choose(rows: Sequence[VariantRow], reference: str, max_drop: float) -> str:
    """The quickest variant that loses no more than `max_drop`.

    Of those that are as quick, the smallest. What nobody has measured is not chosen, but for the
    reference itself.

    Args:
        rows: The variants; the reference is among them.
        reference: What the others are compared with.
        max_drop: Accuracy, 0-1.
    """
    (base,) = (row for row in rows if row.name == reference)
    within = [row for row in rows if row is base or not loses_too_much(row, base, max_drop)]
    timed = [(row.p50_ms, row) for row in within if row.p50_ms is not None]
    if base.p50_ms is None or not timed:
        return reference
    quickest = min(ms for ms, _ in timed)
    alike = [row for ms, row in timed if ms <= quickest * (1 + ALIKE)]
    return min(alike, key=lambda row: row.bytes).name


def loses_too_much(row: VariantRow, base: VariantRow, max_drop: float) -> bool:
    """Whether a variant is, or may be, less accurate than is allowed."""
    rounding = 1e-9
    if row.accuracy is not None and base.accuracy is not None:
        return row.accuracy < base.accuracy - max_drop - rounding
    return row.agreement is None or row.agreement < 1 - max_drop - rounding


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front: points that no other is both quicker than and worth more, quickest first.

    Args:
        points: The time of each, and its worth.
    """
    found: list[tuple[float, float]] = []
    for time, worth in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not found or worth > found[-1][1]:
            found.append((time, worth))
    return found
