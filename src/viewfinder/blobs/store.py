"""Files that are no models: stored images, and the inputs of jobs. A folder, or S3."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from viewfinder.errors import MissingExtraError, SettingsError
from viewfinder.settings import Settings

_S3 = "s3://"


class Blobs(Protocol):
    """Bytes by key. A key is relative, with slashes between its parts, as `results/ab/id.jpg`.

    Every method blocks: not for the event loop. Each raises `OSError` if the place cannot be used.
    """

    @property
    def is_near(self) -> bool:
        """Whether to read a blob takes less time than to hand the reading to another thread."""

    def put(self, key: str, data: bytes) -> None:
        """Write a blob whole, in place of what was there."""

    def get(self, key: str) -> bytes:
        """Read a blob.

        Raises:
            FileNotFoundError: There is none.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs; those that do not exist are no error."""

    def folders(self, prefix: str) -> Sequence[str]:
        """The names of what keys that begin with `prefix/` have next, up to another slash."""

    def clear(self, prefix: str) -> None:
        """Delete all blobs whose keys begin with `prefix/`, and what a crash has left there."""


class FolderBlobs:
    """Blobs as files, readable by their owner alone.

    Args:
        folder: Made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def is_near(self) -> bool:
        """See `Blobs.is_near`."""
        return True

    def put(self, key: str, data: bytes) -> None:
        """See `Blobs.put`. What a crash leaves behind is a hidden file beside it, never half of it.

        That goes when the blob is deleted. Two may not put the same blob at once.

        It is not synced to the disk: who needs that says so in the database, afterwards.
        """
        path = self._path(key)
        try:
            self._write(path, data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(path, data)

    def get(self, key: str) -> bytes:
        """See `Blobs.get`."""
        return self._path(key).read_bytes()

    def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`. Folders that are empty then go too."""
        folders = set()
        for key in keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            _partial(path).unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in folders - {self._folder}:
            with contextlib.suppress(OSError):  # not empty, or gone
                folder.rmdir()

    def folders(self, prefix: str) -> Sequence[str]:
        """See `Blobs.folders`."""
        try:
            return [path.name for path in self._path(prefix).iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []

    def clear(self, prefix: str) -> None:
        """See `Blobs.clear`."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(prefix))

    def _write(self, path: Path, data: bytes) -> None:
        partial = _partial(path)
        try:
            with open(partial, "wb", opener=_for_owner) as file:
                file.write(data)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or ".." in parts or key.startswith("/"):
            raise ValueError("a key lies inside its folder")
        return self._folder.joinpath(*parts)


def _partial(path: Path) -> Path:
    """Where a blob is until it is whole: known by its name, so that erasing finds it."""
    return path.with_name(f".partial-{path.name}")


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def open_blobs(settings: Settings) -> Blobs:
    """The place that the settings name; nothing is made, and nobody asked, yet.

    Raises:
        MissingExtraError: S3 is asked for and not installed.
        SettingsError: The address makes no sense.
    """
    address = settings.blobs.url
    if address is None:
        return FolderBlobs(settings.home / "blobs")
    if not address.startswith(_S3):
        if "://" in address or not Path(address).is_absolute():
            raise SettingsError(
                "the setting blobs.url is not valid: give s3://bucket/prefix or an absolute path"
            )
        return FolderBlobs(Path(address))
    try:
        s3 = import_module("viewfinder.blobs.s3")
    except ModuleNotFoundError as error:
        raise MissingExtraError("Blobs on S3", "s3") from error
    try:
        return cast("Blobs", s3.S3Blobs(address))
    except ValueError as error:
        raise SettingsError(f"the setting blobs.url is not valid: {error}") from error
