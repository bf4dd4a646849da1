"""A folder with a folder for each class, or one for each split with the classes inside."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from viewfinder.datasets.labels import split_named, tidy_label
from viewfinder.datasets.photos import Dataset, Photo, Skipped, Split
from viewfinder.datasets.sources.layout import not_folders
from viewfinder.errors import DatasetError
from viewfinder.imaging.suffixes import SUFFIXES, is_photo_name

# What systems leave in folders; nobody means it.
_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "ehthumbs.db"}


def read_folder(source: Path) -> Dataset:
    """Find the photos of a folder. What is in folders of a class folder belongs to the class.

    Links are followed, each folder is looked into once for a class. Hidden files and what systems
    leave behind are passed over silently, other files that are not called as a photo is are
    remembered.

    Raises:
        DatasetError: The folders do not say which classes there are, or a class has no photos.
        OSError: A folder cannot be read.
    """
    found = _Found()
    top = _look(source)
    splits = _split_folders(source, top.folders)
    if splits is None:
        _read_classes(found, source, top, None)
    else:
        found.passed_over += top.photos + top.others
        for split, folder in splits.items():
            _read_classes(found, folder, _look(folder), split)
    empty = found.labels - {photo.label for photo in found.photos}
    if empty and found.photos:
        named = ", ".join(sorted(empty))
        raise DatasetError(f"no photos of these classes: {named}; add some, or delete the folders")
    return Dataset(
        source,
        tuple(sorted(found.labels)),
        tuple(sorted(found.photos, key=lambda photo: photo.path)),
        tuple(found.skipped),
        tuple(sorted(found.passed_over)),
    )


@dataclass
class _Found:
    labels: set[str] = field(default_factory=set)
    photos: list[Photo] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


@dataclass
class _Listing:
    """What lies in one folder, in the order of names."""

    folders: list[Path] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def _look(folder: Path) -> _Listing:
    listing = _Listing()
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(".") or entry.name.lower() in _CLUTTER:
            continue
        path = folder / entry.name
        if path.is_dir():
            listing.folders.append(path)
        elif not is_photo_name(entry.name):
            listing.others.append(path)
        elif path.is_file():
            listing.photos.append(path)
        else:  # a link that leads nowhere, a pipe
            listing.gone.append(path)
    return listing


def _split_folders(source: Path, folders: list[Path]) -> dict[Split, Path] | None:
    """The folder of each split, if the folders are splits; None if they are classes.

    `train` may well be a class (of vehicles): then there are photos right in it, or other classes
    beside it.
    """
    named = [(split, folder) for folder in folders if (split := split_named(folder.name))]
    if not named:
        return None
    others = [folder.name for folder in folders if split_named(folder.name) is None]
    inside = [_look(folder) for _, folder in named]
    if others:
        if any(listing.photos or not listing.folders for listing in inside):
            return None
        classes = {folder.name for listing in inside for folder in listing.folders}
        if len(named) > 1 or classes & set(others):
            raise not_folders(
                f"{source} has folders of splits ({_names(folder for _, folder in named)}) and "
                f"others beside them: {', '.join(others)}; move the others away"
            )
        return None
    splits: dict[Split, Path] = {}
    for split, folder in named:
        if split in splits:
            raise DatasetError(
                f"{splits[split]} and {folder} are both for {split}; put them into one"
            )
        splits[split] = folder
    return splits


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(folder.name for folder in folders)


def _read_classes(found: _Found, folder: Path, listing: _Listing, split: Split | None) -> None:
    if listing.photos and not listing.folders:
        raise not_folders(
            f"{folder} has {len(listing.photos):,} photos, but no folder for each class; "
            "put each photo into a folder called as what it shows"
        )
    found.passed_over += listing.photos + listing.others
    for path in listing.folders:
        try:
            label = tidy_label(path.name)
        except ValueError as error:
            raise DatasetError(f"{folder} has a folder that cannot be a class: {error}") from error
        found.labels.add(label)
        _read_class(found, path, label, split)


def _read_class(found: _Found, folder: Path, label: str, split: Split | None) -> None:
    for listing in _walk(folder):
        found.photos += [Photo(path, label, split) for path in listing.photos]
        found.skipped += [
            Skipped(Photo(path, label, split), "The file cannot be read.") for path in listing.gone
        ]
        found.passed_over += listing.others


def _walk(folder: Path) -> Iterator[_Listing]:
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # links can lead in circles
            continue
        seen.add((status.st_dev, status.st_ino))
        listing = _look(folder)
        yield listing
        waiting += listing.folders


def looked_for() -> str:
    """The suffixes of photos, for a person."""
    return " ".join(sorted(SUFFIXES))
