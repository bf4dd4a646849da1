"""Rows of pixels on disk, each named by the content it was made from.

A cache is a folder with the rows, one after the other, and an index. It is written under another
name and gets its own when it is whole; the index has a checksum of every row, so that what a
crash or a bad disk leaves is not taken for pixels. Whoever deletes any of it loses time, no more.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from viewfinder.errors import DatasetError
from viewfinder.shared.side_by_side import side_by_side

GIB: Final = 1024**3
_ROWS = "pixels"
_INDEX = "index.json"
_PARTIAL = ".partial-"
_LOCK = ".lock"
_TRIES = 3
_SPARE = 64 * 1024**2
"""Bytes that are left free on the disk."""


class Index(BaseModel):
    """What is in a cache.

    Attributes:
        recipe: How the rows were made, as a digest.
        shape: Of a row.
        digests: Of the content of each row; in order, equal ones side by side.
        checksums: CRC-32 of each row.
        failed: Contents that cannot be made into a row, and why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    recipe: str
    shape: tuple[int, int, int]
    digests: tuple[str, ...]
    checksums: tuple[int, ...]
    failed: dict[str, str]


def checksum(row: NDArray[np.uint8]) -> int:
    """CRC-32 of a row's bytes."""
    return zlib.crc32(np.ascontiguousarray(row).data)


@dataclass
class Known:
    """Rows of earlier caches, by their content; they are checked when they are asked for."""

    rows: dict[str, tuple[NDArray[np.uint8], int]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def row(self, digest: str) -> NDArray[np.uint8] | str | None:
        """The row, why there can be none, or None if nobody knows."""
        if digest in self.failed:
            return self.failed[digest]
        row, check = self.rows.get(digest, (None, 0))
        return row if row is not None and checksum(row) == check else None


class Shelf:
    """All caches of one folder; those of one recipe are looked at. A context manager.

    While it is open, nobody takes what it is writing for something left by a crash.

    Args:
        folder: It is made if need be.
        recipe: How rows are made, as a digest.
        shape: Of a row.
    """

    def __init__(self, folder: Path, recipe: str, shape: tuple[int, int, int]) -> None:
        self.folder = folder
        self.recipe = recipe
        self.shape = shape

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / _LOCK).open("w")
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for left in self.folder.glob(f"{_PARTIAL}*"):  # nobody else is here: a crash's
                    shutil.rmtree(left, ignore_errors=True)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.close()

    def find(
        self, digests: Sequence[str], threads: int, progress: Callable[[int], None]
    ) -> tuple[Index, NDArray[np.uint8]] | None:
        """The cache of exactly these contents, if there is one and it is undamaged.

        Args:
            digests: Sorted, one for each photo.
            threads: To check the rows with.
            progress: Told how many photos are done.
        """
        opened = self._open(self._home(digests))
        if opened is None:
            return None
        index, pixels = opened
        failed = sum(digest in index.failed for digest in digests)
        checks = side_by_side(
            lambda i: checksum(pixels[i]) == index.checksums[i], range(len(pixels)), threads=threads
        )
        for done, right in enumerate(checks, failed + 1):
            if not right:
                return None
            progress(done)
        progress(len(digests))
        with contextlib.suppress(OSError):
            os.utime(self._home(digests) / _INDEX)  # it was of use
        return opened

    def known(self) -> Known:
        """Every row of this recipe that earlier caches have."""
        known = Known()
        for cache in self._caches():
            opened = self._open(cache)
            if opened is None:
                continue
            index, pixels = opened
            known.failed |= index.failed
            for number, digest in enumerate(index.digests):
                known.rows[digest] = (np.asarray(pixels[number]), index.checksums[number])
        return known

    @contextlib.contextmanager
    def new(self, digests: Sequence[str]) -> Iterator["Writing"]:
        """Write a cache of these contents, which appears when the block ends without an error.

        Raises:
            DatasetError: The disk is too full.
        """
        self._check_room(len(digests))
        with self._scratch() as scratch:
            partial = Path(scratch) / "cache"
            partial.mkdir()
            with (partial / _ROWS).open("wb") as file:
                writing = Writing(file)
                yield writing
            writing.index = Index(
                recipe=self.recipe,
                shape=self.shape,
                digests=tuple(writing.digests),
                checksums=tuple(writing.checksums),
                failed=writing.failed,
            )
            (partial / _INDEX).write_text(writing.index.model_dump_json(), encoding="utf-8")
            opened = self._open(partial)
            if opened is None:
                raise OSError("what was written cannot be read")
            writing.pixels = opened[1]  # mapped: it stays, whoever moves or deletes the file
            self._publish(partial, self._home(digests), Path(scratch))

    def tidy(self, most_bytes: int, keep: Sequence[str]) -> None:
        """Delete the caches that were not used for longest, until the rest is small enough.

        Args:
            most_bytes: Of all of them together.
            keep: The contents of the one that stays in any case.
        """
        kept = self._home(keep)
        sizes = {cache: _size(cache) for cache in self._caches()}
        total = sum(sizes.values())
        for cache in sorted(sizes.keys() - {kept}, key=_last_used):
            if total <= most_bytes:
                return
            with self._scratch() as gone, contextlib.suppress(OSError):  # somebody else deletes it
                cache.rename(Path(gone) / cache.name)
            total -= sizes[cache]

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(
            dir=self.folder, prefix=_PARTIAL, ignore_cleanup_errors=True
        )

    def _home(self, digests: Sequence[str]) -> Path:
        key = hashlib.sha256("\n".join((self.recipe, *digests)).encode())
        return self.folder / key.hexdigest()

    def _caches(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if not path.name.startswith(".")]

    def _open(self, cache: Path) -> tuple[Index, NDArray[np.uint8]] | None:
        """What is in a cache; None if it is of another recipe, or not whole."""
        try:
            index = Index.model_validate_json((cache / _INDEX).read_bytes())
            rows = len(index.digests)
            size = rows * int(np.prod(self.shape))
            if (
                (index.recipe, index.shape) != (self.recipe, self.shape)
                or len(index.checksums) != rows
                or (cache / _ROWS).stat().st_size != size
            ):
                return None
            if not rows:  # nothing can be mapped
                return index, np.empty((0, *self.shape), np.uint8)
            return index, np.memmap(cache / _ROWS, np.uint8, "r", shape=(rows, *self.shape))
        except (OSError, ValidationError):
            return None

    def _publish(self, partial: Path, home: Path, scratch: Path) -> None:
        for number in range(_TRIES):
            with contextlib.suppress(OSError):
                partial.rename(home)
                return
            # It is there: damaged, or from somebody quicker. This one is whole in any case.
            with contextlib.suppress(OSError):
                home.rename(scratch / f"old-{number}")
        # Others go on replacing it with theirs, which are just as good.

    def _check_room(self, rows: int) -> None:
        needed = rows * int(np.prod(self.shape)) + _SPARE
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise DatasetError(
                f"decoded photos need {needed / GIB:.1f} GiB in {self.folder}, "
                f"and {free / GIB:.1f} GiB are free; delete what is there, or set "
                "VIEWFINDER_HOME to a folder on a larger disk"
            )


class Writing:
    """A cache that is being written.

    Attributes:
        index: What is in it; when it is whole.
        pixels: Its rows, read-only; when it is whole.
        digests: Of the rows so far.
        checksums: Of the rows so far.
        failed: Contents without a row so far.
        done: Photos so far.
    """

    index: Index
    pixels: NDArray[np.uint8]

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digests: list[str] = []
        self.checksums: list[int] = []
        self.failed: dict[str, str] = {}
        self.done = 0

    def add(self, digest: str, row: NDArray[np.uint8], check: int) -> None:
        """Add a row; `check` is its checksum."""
        self._file.write(np.ascontiguousarray(row).data)
        self.digests.append(digest)
        self.checksums.append(check)
        self.done += 1

    def fail(self, digest: str, reason: str) -> None:
        """Remember that a content has no row, and why."""
        self.failed[digest] = reason
        self.done += 1


def _size(cache: Path) -> int:
    try:
        return (cache / _ROWS).stat().st_size
    except OSError:
        return 0


def _last_used(cache: Path) -> float:
    try:
        return (cache / _INDEX).stat().st_mtime
    except OSError:
        return 0.0
