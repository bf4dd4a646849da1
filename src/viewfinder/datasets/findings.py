"""What there is to say of a data set: the shape of `viewfinder data check`."""

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from viewfinder.datasets.photos import Split


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassCount(_Finding):
    """A class and its photos that can be used.

    Attributes:
        label: The class.
        photos: All of them.
        train: To learn from; if the data set has no splits, as training would make them.
        validation: To choose by, likewise.
        test: To measure with, likewise.
    """

    label: str
    photos: int
    train: int
    validation: int
    test: int


class Corrupt(_Finding):
    """A photo that cannot be used, and why."""

    path: str
    reason: str


class Copy(_Finding):
    """One of several photos that are the same, or look it."""

    path: str
    label: str
    split: Split | None


class Skew(_Finding):
    """Two classes of very different size, and how often the larger is the smaller."""

    largest: str
    smallest: str
    ratio: float


class Size(_Finding):
    """A photo of a suspicious size, in pixels, upright."""

    path: str
    width: int
    height: int
    reason: str


class Suspect(_Finding):
    """A photo whose label is probably wrong.

    Attributes:
        path: The photo.
        label: What the data set says.
        suggested: What the model says.
        confidence: Of the model in that, 0-1.
        split: Where it is; a model that has learned a wrong label may agree with it.
    """

    path: str
    label: str
    suggested: str
    confidence: float
    split: Split | None


class Findings(_Finding):
    """Everything that `viewfinder data check` has to say. Groups are in the order of paths.

    Attributes:
        source: What was read.
        photos: How many can be used.
        is_split: Whether the data set says itself which photos are for what.
        classes: In alphabetical order.
        corrupt: Photos that cannot be used.
        exact_duplicates: Groups of files with the same content.
        near_duplicates: Groups of photos that look the same, at least two of them different files.
        leaks: Those of both kinds that are in more than one given split.
        conflicts: Those of both kinds that have more than one label.
        tiny_classes: Classes with fewer than `TINY` photos to learn from.
        skew: The largest and the smallest class to learn from, if they differ by more than `SKEW`.
        sizes: Photos that are very small, very long, or much smaller than the others.
        passed_over: Files that are not called as a photo is, or are of no class.
        model: The model that was asked about labels, if one was.
        wrong_labels: Likely wrong labels, the most suspicious first; None if no model was asked.
    """

    source: str
    photos: int
    is_split: bool
    classes: tuple[ClassCount, ...]
    corrupt: tuple[Corrupt, ...]
    exact_duplicates: tuple[tuple[Copy, ...], ...]
    near_duplicates: tuple[tuple[Copy, ...], ...]
    leaks: tuple[tuple[Copy, ...], ...]
    conflicts: tuple[tuple[Copy, ...], ...]
    tiny_classes: tuple[ClassCount, ...]
    skew: Skew | None
    sizes: tuple[Size, ...]
    passed_over: tuple[str, ...]
    model: str | None = None
    wrong_labels: tuple[Suspect, ...] | None = None


def paths_under(findings: Findings) -> Callable[[str], str]:
    """A short form of the findings' paths: from the data set's own folder."""
    source = Path(findings.source)
    folder = source if source.is_dir() else source.parent

    def short(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    return short
