"""Where numbers lie in a picture."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a plot's numbers lie in its picture.

    Attributes:
        left: Of the picture, in its own units; so the others.
        top: Likewise.
        width: Likewise.
        height: Likewise.
        x_high: The number at the right edge; 0 is at the left one.
        y_low: The number at the bottom.
        y_high: The number at the top.
    """

    left: float
    top: float
    width: float
    height: float
    x_high: float = 1.0
    y_low: float = 0.0
    y_high: float = 1.0

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """Where a number lies from left to right."""
        return round(self.left + self.width * value / (self.x_high or 1), 2)

    def y(self, value: float) -> float:
        """Where a number lies from top to bottom."""
        span = (self.y_high - self.y_low) or 1
        return round(self.top + self.height * (self.y_high - value) / span, 2)

    def line(self, values: Sequence[tuple[float, float | None]]) -> str:
        """The points of a polyline; what is None is left out."""
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in values if y is not None)
