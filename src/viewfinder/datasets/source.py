"""Labelled photos in a folder for each class, below folders for the splits if there are any."""

from pathlib import Path

from viewfinder.datasets.photos import SPLITS, Dataset, Photo, Split
from viewfinder.errors import DatasetError


def read_dataset(source: Path) -> Dataset:
    """Find the photos; nobody looks inside the files yet.

    Raises:
        DatasetError: There are none.
    """
    if not source.is_dir():
        raise DatasetError(f"{source} is not a folder")
    roots: list[tuple[Path, Split | None]] = [
        (source / split, split) for split in SPLITS if (source / split).is_dir()
    ]
    photos = [
        Photo(path, folder.name, split)
        for root, split in roots or [(source, None)]
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    if not photos:
        raise DatasetError(f"{source} has no folder of photos for each class")
    labels = tuple(sorted({photo.label for photo in photos}))
    return Dataset(source, labels, tuple(sorted(photos, key=lambda photo: photo.path)))
