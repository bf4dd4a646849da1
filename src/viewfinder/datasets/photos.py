"""What a data set is, whatever it is read from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo.

    Attributes:
        path: The file.
        label: What it shows.
        split: What it is meant for, if the data set says so.
    """

    path: Path
    label: str
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that was left out.

    Attributes:
        photo: Which.
        reason: Why, in a sentence for a person.
    """

    photo: Photo
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled photos as they were found; nobody has looked inside the files yet.

    Attributes:
        source: The folder or file that was read.
        labels: Every class, in alphabetical order: the order of a model's output.
        photos: In the order of their paths.
    """

    source: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]

    def of(self, split: Split) -> tuple[Photo, ...]:
        """The photos of a split."""
        return tuple(photo for photo in self.photos if photo.split == split)

    @property
    def is_split(self) -> bool:
        """Whether the data set itself says which photos are for what."""
        return any(photo.split is not None for photo in self.photos)
