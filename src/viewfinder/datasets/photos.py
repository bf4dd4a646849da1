"""What a data set is, whatever it is read from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from viewfinder.shared.plain import encodable

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
    """A photo that cannot be used.

    Attributes:
        photo: Which.
        reason: One sentence for a person.
    """

    photo: Photo
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled photos as they were found; nobody has looked inside the files yet.

    Attributes:
        source: The folder or file that was read.
        labels: Every class, in alphabetical order: the order of a model's output.
        photos: In the order of their paths; their files are there.
        skipped: Photos that the data set names, and whose files are not there.
        passed_over: Files of the folder that are not called as a photo is, or are of no class.
    """

    source: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    skipped: tuple[Skipped, ...] = ()
    passed_over: tuple[Path, ...] = ()

    @property
    def root(self) -> Path:
        """The folder from which photos' paths are told."""
        return self.source if self.source.is_dir() else self.source.parent

    @property
    def name(self) -> str:
        """What it is called, in characters that JSON can hold."""
        return encodable(self.source.resolve().name)

    def of(self, split: Split) -> tuple[Photo, ...]:
        """The photos of a split."""
        return tuple(photo for photo in self.photos if photo.split == split)

    @property
    def is_split(self) -> bool:
        """Whether the data set itself says which photos are for what."""
        return any(photo.split is not None for photo in self.photos)
