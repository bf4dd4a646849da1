"""What a variant saw and said of the photos that it was measured with: what later ones are held to.

A part of the manifest.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, model_validator

from viewfinder.imaging.statistics import ImageStatistics

MOST_BINS = 10
STATISTICS: Final = ("brightness", "contrast", "sharpness", "saturation")
MEASURES: Final = ("confidence", *STATISTICS)
"""What is a number for each photo, 0-1."""

# Processors and decoders round differently: where many photos have the same value, all of them must
# fall on the same side of an edge.
_DIGITS = 4

_MOST_PHOTOS = 10**9
Count = Annotated[int, Field(ge=1, le=_MOST_PHOTOS)]


class Distribution(BaseModel):
    """How often a number lay where.

    Attributes:
        edges: Between the bins, rising; what lies on an edge belongs to the bin above it.
        counts: Of each bin, one more than edges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[FiniteFloat, ...] = Field(max_length=MOST_BINS - 1)
    counts: tuple[Annotated[int, Field(ge=0, le=_MOST_PHOTOS)], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a distribution has one bin more than edges")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a distribution rise")
        return self

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Count values in bins that hold about equally many, fewer where many are the same.

        Args:
            values: At least one.
        """
        ordered = sorted(round(value, _DIGITS) for value in values)
        places = (len(ordered) * number // MOST_BINS for number in range(1, MOST_BINS))
        edges = tuple(sorted({ordered[place] for place in places} - {ordered[0]}))
        counts = Counter(bin_of(edges, value) for value in ordered)
        return cls(edges=edges, counts=tuple(counts[number] for number in range(len(edges) + 1)))


class Reference(BaseModel):
    """The answers to the validation photos, and what these are like.

    Attributes:
        photos: How many.
        classes: How often each class was the first, by its place in the model's output; those that
            never were are left out.
        confidence: Of the first class.
        brightness: The mean of the pixels that the model saw, 0-1.
        contrast: How far their grey levels are apart, 0-1.
        sharpness: How far neighbours are apart, 0-1.
        saturation: How much of the light is colour, 0-1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    photos: Count
    classes: Mapping[NonNegativeInt, Count]
    confidence: Distribution
    brightness: Distribution
    contrast: Distribution
    sharpness: Distribution
    saturation: Distribution

    @model_validator(mode="after")
    def _check(self) -> Self:
        counted = [sum(self.measure(name).counts) for name in MEASURES]
        if {sum(self.classes.values()), *counted} != {self.photos}:
            raise ValueError("a reference counts each photo once")
        return self

    @classmethod
    def of(
        cls,
        classes: Sequence[int],
        confidence: Sequence[float],
        statistics: Sequence[ImageStatistics],
    ) -> Self:
        """Count answers.

        Args:
            classes: The first class of each photo.
            confidence: Of that class, 0-1, calibrated.
            statistics: Of the pixels that the model saw.
        """
        looks = {
            name: Distribution.of(getattr(one, name) for one in statistics) for name in STATISTICS
        }
        return cls(
            photos=len(classes),
            classes=dict(sorted(Counter(classes).items())),
            confidence=Distribution.of(confidence),
            **looks,
        )

    def measure(self, name: str) -> Distribution:
        """One of `MEASURES`."""
        found: Distribution = getattr(self, name)
        return found


def bin_of(edges: Sequence[float], value: float) -> int:
    """Which bin a value falls in, from 0 to the number of edges."""
    return bisect_right(edges, round(value, _DIGITS))
