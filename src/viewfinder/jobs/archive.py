"""Zip archives that strangers made: which images one holds, and each of them, within limits."""

import math
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from viewfinder.errors import (
    InvalidParameterError,
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

# What the directory of an archive may weigh: names, and what programs write beside them.
_ENTRY_BYTES, _FREE_BYTES = 512, 1024 * 1024
# bzip2 and LZMA are left out: a few of their bytes become gigabytes before a limit is looked at.
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_UNIX = 3
_LOCAL_HEAD = 30
_DRIVE = re.compile(r"[A-Za-z]:")
_MAC = "__MACOSX"
_LONGEST_SHOWN = 100
# What `zipfile` raises at bytes that are not what they should be, beside its own error.
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError)
_DAMAGED = (*_BROKEN, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive.

    Attributes:
        name: As the archive has it, folders and all. Shown to people and never used as a path.
        bytes: How many it says that it has.
        position: Its place in the archive's directory.
    """

    name: str
    bytes: int
    position: int


class Archive:
    """What an archive holds; it can be read from several threads.

    Attributes:
        entries: Its files, in the order of its directory.
    """

    def __init__(
        self, opened: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], image_bytes: int
    ) -> None:
        self._opened = opened
        self._opening = threading.Lock()  # it counts its open files without one
        self._infos = infos
        self._most_bytes = image_bytes
        self.entries: Sequence[Entry] = tuple(
            Entry(info.filename, info.file_size, position)
            for position, info in enumerate(infos)
            if not _is_skipped(info)
        )

    def read(self, entry: Entry) -> bytes:
        """The bytes of one file; of one that is longer than an image may be, one byte more.

        Raises:
            UnsupportedMediaTypeError: It is encrypted, or compressed in a way that is not taken.
            MalformedRequestError: It is damaged.
            OSError: The archive cannot be read.
        """
        info = self._infos[entry.position]
        if info.flag_bits & _ENCRYPTED:
            raise UnsupportedMediaTypeError("The file is encrypted in its archive.")
        if info.compress_type not in _COMPRESSIONS:
            raise UnsupportedMediaTypeError(
                "The file is compressed in its archive by another way than deflate."
            )
        try:
            with self._opening:
                file = self._opened.open(info)
            try:
                return file.read(self._most_bytes + 1)
            finally:
                with self._opening:
                    file.close()
        except _DAMAGED as error:
            raise MalformedRequestError("The file is damaged in its archive.") from error


@contextmanager
def open_archive(
    file: Path | BinaryIO, *, most_images: int, most_bytes: int, image_bytes: int
) -> Iterator[Archive]:
    """Read a zip's directory, and refuse it as a whole if something is wrong with that.

    Folders, hidden files, symbolic links and what macOS puts into `__MACOSX/` are left out without
    a word. A file that is no image, is encrypted or damaged fails alone, when it is read. Time and
    memory are bounded by `most_images`, whatever the archive says of itself.

    Args:
        file: The archive; one that is open stays open.
        most_images: Files that it may hold, those left out not counted.
        most_bytes: What these may have together, as they say themselves.
        image_bytes: The most that is read of each, but for one byte.

    Raises:
        MalformedRequestError: It is no zip, or damaged, or names a file outside of itself.
        InvalidParameterError: It holds too many images, or none.
        PayloadTooLargeError: Its files, or its directory, are too large.
        OSError: It cannot be read.
    """
    with ExitStack() as held:
        source = held.enter_context(file.open("rb")) if isinstance(file, Path) else file
        measured = _Measured(source, most_images * _ENTRY_BYTES + _FREE_BYTES)
        try:
            opened = held.enter_context(zipfile.ZipFile(measured))
        except (*_DAMAGED, OSError) as error:
            raise MalformedRequestError("The archive is no zip, or it is damaged.") from error
        measured.left = math.inf
        infos = opened.infolist()
        for info in infos:
            _check_name(info.filename)
        archive = Archive(opened, infos, image_bytes)
        _check_contents(archive, most_images, most_bytes)
        _check_places(infos, _length(source))
        yield archive


class _Measured:
    """A file of which only so much is read.

    `zipfile` takes in the whole directory before it says how large it is: a million entries would
    be half a gigabyte of memory.
    """

    def __init__(self, file: BinaryIO, left: float) -> None:
        self._file = file
        self.left = left
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on.

        Raises:
            PayloadTooLargeError: That would be more than may be read.
        """
        if size is not None and size > self.left:
            raise PayloadTooLargeError("The archive's directory is larger than its images need.")
        data = self._file.read(-1 if size is None else size)
        self.left -= len(data)
        return data


def _check_name(name: str) -> None:
    path = name.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/"):
        raise MalformedRequestError(
            f"The archive has a file outside of itself, {name[:_LONGEST_SHOWN]!r}: pack it anew."
        )


def _check_contents(archive: Archive, most_images: int, most_bytes: int) -> None:
    count = len(archive.entries)
    if not count:
        raise InvalidParameterError("The archive holds no images.")
    if count > most_images:
        raise InvalidParameterError(
            f"The archive holds {count:,} images; {most_images:,} are the most."
        )
    if sum(entry.bytes for entry in archive.entries) > most_bytes:
        raise PayloadTooLargeError(
            f"The files of the archive have more than {most_bytes:,} bytes together."
        )


def _check_places(infos: Sequence[zipfile.ZipInfo], length: int) -> None:
    """Each file has its own bytes in the archive: no bytes are unpacked twice."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise MalformedRequestError("The files of the archive overlap: pack it anew.")
        end = info.header_offset + _LOCAL_HEAD + info.compress_size
    if end > length:
        raise MalformedRequestError("The archive is damaged: it ends before its files do.")


def _is_skipped(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.replace("\\", "/").split("/")
    is_link = info.create_system == _UNIX and stat.S_ISLNK(info.external_attr >> 16)
    is_hidden = any(part.startswith(".") for part in parts)
    return not parts[-1] or parts[0] == _MAC or is_link or is_hidden


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)
