"""How good a model is on the photos that people have looked at."""

from datetime import datetime

from pydantic import Field

from viewfinder.client.answers.shape import Shape


class Estimate(Shape):
    """A share, 0-1, with its 95% interval."""

    value: float
    low: float
    high: float


class Part(Shape):
    """Reviewed answers of one kind; a share of none is None."""

    reviewed: int
    correct: int
    accuracy: Estimate | None


class ClassAccuracy(Shape):
    """One class, as it is true (`reviewed`) and as it is answered."""

    label: str = Field(alias="class")
    reviewed: int
    answered: int
    correct: int
    recall: Estimate | None
    precision: Estimate | None


class Confusion(Shape):
    """A class that was answered in place of another."""

    label: str = Field(alias="class")
    answered: str
    count: int


class VersionAccuracy(Shape):
    """How good one version is on the photos that people have looked at."""

    version: int
    reviewed: int
    correct: int
    accuracy: Estimate
    answered: Part
    abstained: Part
    classes: tuple[ClassAccuracy, ...]
    confusions: tuple[Confusion, ...]


class LiveAccuracy(Shape):
    """How good a model is on the photos that people have looked at."""

    name: str
    since: datetime | None
    until: datetime | None
    versions: tuple[VersionAccuracy, ...]
    caution: str
