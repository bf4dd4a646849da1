"""What came before and what comes now, bin by bin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viewfinder.registry.reference import MEASURES
from viewfinder.serving.drift.stability import Level, level_of, stability_index
from viewfinder.types import ServedModel

CLASSES = "classes"
PARTS = (CLASSES, *MEASURES)


@dataclass(frozen=True, slots=True)
class Bin:
    """A part of a distribution.

    Attributes:
        label: The class or classes; None for a range of numbers.
        low: Where the range begins; None for classes, and where it is open.
        high: Where it ends, itself not in it; None likewise.
        reference: The share of the reference's photos that are in it, 0-1; None without one.
        recent: The share of the recent photos, 0-1; None where there are none.
    """

    label: str | None
    low: float | None
    high: float | None
    reference: float | None
    recent: float | None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is compared.

    Attributes:
        psi: The population stability index, 0 or more; None as long as there are too few photos.
        level: What people call it; None likewise.
        bins: What was compared.
    """

    psi: float | None
    level: Level | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """How the recent photos of one version compare.

    Attributes:
        model: Which version, and which of its graphs.
        photos: How many are compared.
        reference: How many photos the reference was made of; None if the bundle has none.
        parts: By `PARTS`.
    """

    model: ServedModel
    photos: int
    reference: int | None
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class DriftStanding:
    """The numbers alone.

    Attributes:
        model: Which version, and which of its graphs.
        photos: How many are compared.
        psi: By `PARTS`; empty as long as there is no verdict.
    """

    model: ServedModel
    photos: int
    psi: Mapping[str, float]


_Frame = tuple[str | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one part is put into bins.

    Attributes:
        frames: Label, low and high of each bin.
        places: The bin of each cell of the tally.
        before: How many photos of the reference are in each bin.
    """

    frames: Sequence[_Frame]
    places: Mapping[str, int]
    before: Sequence[float] | None

    def counted(self, recent: Mapping[str, float]) -> list[float]:
        """How many recent photos are in each bin."""
        now = [0.0] * len(self.frames)
        for cell in recent.keys() & self.places.keys():
            now[self.places[cell]] += recent[cell]
        return now

    def index(self, now: Sequence[float]) -> float:
        """How far they are from the reference's."""
        return stability_index(self.before or (), now)

    def part(self, recent: Mapping[str, float], *, is_enough: bool) -> Part:
        """The whole comparison; without a verdict where there are not enough photos."""
        now = self.counted(recent)
        index = self.index(now) if is_enough else None
        before = [None] * len(now) if self.before is None else _shares(self.before)
        bins = zip(self.frames, before, _shares(now), strict=True)
        return Part(
            index,
            None if index is None else level_of(index),
            tuple(Bin(*frame, reference, share) for frame, reference, share in bins),
        )


def _shares(counts: Sequence[float]) -> Sequence[float | None]:
    total = sum(counts)
    return [count / total if total else None for count in counts]
