"""What all answers have in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A part of an answer; a field that a newer server adds is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class PageShape(Shape):
    """Some of a list; `next` is the cursor of what follows, None on the last page."""

    next: str | None
