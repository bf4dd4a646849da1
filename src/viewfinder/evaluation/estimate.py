"""A number that is known from a sample."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from viewfinder.evaluation import intervals
from viewfinder.evaluation.intervals import Interval
from viewfinder.evaluation.metrics import Bools


class Estimate(BaseModel):
    """A number, and where it may lie for all that chance can do (95%)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, interval: Interval) -> Self:
        """Put a number and its interval together."""
        return cls(value=value, low=interval[0], high=interval[1])

    @classmethod
    def of_share(cls, flags: Bools) -> Self:
        """The share of what is true."""
        right, whole = int(flags.sum()), len(flags)
        return cls.of(right / whole, intervals.of_share(right, whole))
