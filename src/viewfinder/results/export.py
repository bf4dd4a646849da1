"""Photos that people have looked at, as a training folder."""

import asyncio
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from viewfinder.blobs.store import Blobs
from viewfinder.datasets.labels import split_named
from viewfinder.errors import DatasetError
from viewfinder.results.reviewed import SIDE_BY_SIDE, place_of, reviewed_of, stored_image
from viewfinder.storage.results.rows import Result
from viewfinder.storage.results.table import Results
from viewfinder.storage.results.wanted import Wanted

_OURS = re.compile(r"reviewed-([0-9a-f-]{36})\.jpg")


@dataclass
class Exported:
    """How an export went, in photos.

    Attributes:
        written: New in the folder.
        moved: To another class, because the label has changed since.
        present: There already.
        without_image: Of which no image is stored.
        unfit: Whose label cannot be the name of a folder.
    """

    written: int = 0
    moved: int = 0
    present: int = 0
    without_image: int = 0
    unfit: int = 0

    @property
    def looked_at(self) -> int:
        """All of them."""
        return self.written + self.moved + self.present + self.without_image + self.unfit


async def export_reviewed(
    results: Results,
    blobs: Blobs,
    folder: Path,
    wanted: Wanted,
    progress: Callable[[int, int], None],
) -> Exported:
    """Write the stored images of reviewed results to `folder/<label>/reviewed-<id>.jpg`.

    What is there under that name already is left; where it is under another label, it is moved, so
    that no photo has two. No other file is touched. What is reviewed no more, or erased, stays.

    Args:
        results: What was answered, and what people say.
        blobs: The images.
        folder: Made if it is not there; may be a training folder with photos of its own.
        wanted: Of which model, and since when.
        progress: Told how many are done, and of how many.

    Raises:
        DatabaseError: The database cannot be used.
        DatasetError: The folder has splits, and nobody said into which.
        OSError: The folder cannot be written, or the images not be read.
    """
    _check_not_split(folder)
    reviewed = reviewed_of(wanted)
    export = _Export(blobs, folder, await asyncio.to_thread(_present, folder))
    total = await results.count(reviewed)
    async for page in results.pages(reviewed):
        await export.add(page)
        progress(export.done.looked_at, max(total, export.done.looked_at))
    return export.done


@dataclass
class _Export:
    """One run.

    Attributes:
        blobs: The images.
        folder: Where to.
        present: What was there before, by the id of its result.
        done: How far it is.
    """

    blobs: Blobs
    folder: Path
    present: dict[str, list[Path]]
    done: Exported = field(default_factory=Exported)

    async def add(self, page: Sequence[Result]) -> None:
        """Write some."""
        for start in range(0, len(page), SIDE_BY_SIDE):
            some = page[start : start + SIDE_BY_SIDE]
            fetching = (asyncio.to_thread(self._image, result) for result in some)
            images = await asyncio.gather(*fetching)
            await asyncio.to_thread(self._put, some, images)

    def _image(self, result: Result) -> bytes | None:
        """The image, if there is one and it is not in the folder yet."""
        target = self._target(result)
        is_there = target is None or target.exists() or result.id in self.present
        return None if is_there else stored_image(self.blobs, result)

    def _put(self, some: Sequence[Result], images: Sequence[bytes | None]) -> None:
        for result, image in zip(some, images, strict=True):
            target = self._target(result)
            if target is None:
                self.done.unfit += 1
            else:
                self._put_one(target, result, image)

    def _put_one(self, target: Path, result: Result, image: bytes | None) -> None:
        others = [path for path in self.present.get(result.id, ()) if path != target]
        if target.exists():
            self.done.present += 1
        elif others:
            target.parent.mkdir(parents=True, exist_ok=True)
            others[0].replace(target)
            self.done.moved += 1
        elif image is not None:
            _write(target, image)
            self.done.written += 1
        else:
            self.done.without_image += 1
        for path in others:
            path.unlink(missing_ok=True)
            _remove_if_empty(path.parent)

    def _target(self, result: Result) -> Path | None:
        """Where its photo belongs; None if its label, which then came by no API, is no name."""
        place = place_of(result)
        return None if place is None else self.folder / place


def _present(folder: Path) -> dict[str, list[Path]]:
    """What earlier exports have left in the folders of the classes."""
    found = defaultdict(list)
    for path in folder.glob("*/reviewed-*.jpg"):
        if (ours := _OURS.fullmatch(path.name)) is not None:
            found[ours[1]].append(path)
    return found


def _check_not_split(folder: Path) -> None:
    """A class beside `train` and `test` would make no sense to who reads the folder."""
    for path in sorted(folder.glob("*/*/")):
        if split_named(path.parent.name) is not None:
            raise DatasetError(
                f"{folder} has a folder for each split: export into {path.parent} or another one"
            )


def _write(target: Path, image: bytes) -> None:
    """A file takes its name when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(image)
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _remove_if_empty(folder: Path) -> None:
    """A class without photos is no class: who reads the folder would refuse it."""
    if not any(folder.iterdir()):
        folder.rmdir()
