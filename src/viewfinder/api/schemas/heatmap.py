"""Where in a photo the model saw a class."""

from typing import Self

from pydantic import Field

from viewfinder.api.schemas.answer import Answer
from viewfinder.types import Box, Explanation, Method


class CoveredPart(Answer):
    """A part of the upright photo, as fractions of its width and height.

    With models that see the photo between bars it reaches beyond it.
    """

    x: float = Field(description="Of the left edge.")
    y: float = Field(description="Of the top edge.")
    width: float = Field(description="Of the part.")
    height: float = Field(description="Of the part.")

    @classmethod
    def of(cls, box: Box) -> Self:
        """Render a box."""
        return cls(x=box.x, y=box.y, width=box.width, height=box.height)


class HeatMap(Answer):
    """Where the model saw the class."""

    method: Method = Field(description="How it was found out.")
    label: str = Field(serialization_alias="class", description="The class that it is about.")
    index: int = Field(description="The class's place in the model's output.")
    rows: int = Field(description="Of the grid.")
    columns: int = Field(description="Of the grid.")
    values: list[list[float]] = Field(
        description="Row by row, the top one first, 0-1: 1 at what spoke most for the class."
    )
    box: CoveredPart = Field(description="What of the photo the grid covers.")

    @classmethod
    def of(cls, explanation: Explanation) -> Self:
        """Render an explanation."""
        values = explanation.values
        return cls(
            method=explanation.method,
            label=explanation.label,
            index=explanation.index,
            rows=len(values),
            columns=len(values[0]),
            values=[[round(value, 3) for value in row] for row in values],
            box=CoveredPart.of(explanation.box),
        )
