"""What a person names on the command line, as photos: files, folders, archives, addresses."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from viewfinder.cli.console import fail
from viewfinder.errors import RequestError
from viewfinder.imaging.suffixes import is_photo_name
from viewfinder.shared.paths import absence

if TYPE_CHECKING:
    from viewfinder.net.fetch import Fetcher
    from viewfinder.settings import Settings

Stamp = tuple[int, int]
"""Bytes of a file, and when it was changed, in nanoseconds."""

_ZIP = ".zip"
_WEB = ("http://", "https://")
_PORTS = tuple(range(1, 65_536))
# The archive is the person's own: its limits keep a bomb from filling the memory, and no more.
_MOST_IMAGES = 1_000_000
_MOST_BYTES = 1 << 44
_PATIENCE_S = 3600


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that can be read.

    Attributes:
        path: What it is called in the answer; no two have the same.
        stamp: Of the file that it lies in; None for an address.
        read: Gives its bytes, one more than the limit at most. Raises `OSError` or
            `ViewfinderError` if it cannot be read.
    """

    path: str
    stamp: Stamp | None
    read: Callable[[], Awaitable[bytes]]


class Sources:
    """Everything that was named, and what must be open to read it.

    Attributes:
        photos: In the order of their names inside a folder, else as they were named.
    """

    def __init__(self, named: Iterable[str], settings: "Settings") -> None:
        """Look for the photos; ends the command when something is not there, or is no archive."""
        self._settings = settings
        self._held = ExitStack()
        self._fetcher: Fetcher | None = None
        with ExitStack() as held:
            held.callback(self._held.close)
            found = (photo for name in named for photo in self._find(name))
            # What is named twice is answered once.
            self.photos = list({photo.path: photo for photo in found}.values())
            held.pop_all()

    async def close(self) -> None:
        """Close archives and connections."""
        self._held.close()
        if self._fetcher is not None:
            await self._fetcher.close()

    def _find(self, name: str) -> Iterator[Photo]:
        if name.startswith(_WEB):
            yield Photo(name, None, partial(self._fetch, name))
            return
        path = Path(name)
        if path.is_dir():
            photos = (found for found in path.rglob("*") if is_photo_name(found.name))
            yield from filter(None, map(self._file, sorted(photos)))
        elif not path.exists():
            fail(absence(name), code=2)
        elif path.suffix.lower() == _ZIP:
            yield from self._archive(path)
        else:
            yield self._given(path)

    def _file(self, path: Path) -> Photo | None:
        """A photo that was found in a folder; None where it is no file."""
        try:
            is_file = S_ISREG(path.stat().st_mode)
        except OSError:  # gone already, or a link to nothing
            return None
        return self._given(path) if is_file else None

    def _given(self, path: Path) -> Photo:
        most = self._settings.limits.image_bytes
        return Photo(str(path), _stamp(path), partial(asyncio.to_thread, _read, path, most + 1))

    def _archive(self, path: Path) -> Iterator[Photo]:
        from viewfinder.jobs.archive import open_archive

        try:
            archive = self._held.enter_context(
                open_archive(
                    path,
                    most_images=_MOST_IMAGES,
                    most_bytes=_MOST_BYTES,
                    image_bytes=self._settings.limits.image_bytes,
                )
            )
        except RequestError as error:
            fail(f"{path}: {error.detail}")
        stamp = _stamp(path)
        for entry in archive.entries:
            if is_photo_name(entry.name):
                read = partial(asyncio.to_thread, archive.read, entry)
                yield Photo(f"{path}/{entry.name}", stamp, read)

    async def _fetch(self, url: str) -> bytes:
        """Fetch from wherever this machine can: whoever types the address is no stranger here."""
        from viewfinder.imaging.decode import recognise
        from viewfinder.net.fetch import Fetcher

        if self._fetcher is None:
            anywhere = self._settings.fetch.model_copy(
                update={"allow_private": True, "ports": _PORTS}
            )
            self._fetcher = Fetcher(anywhere, self._settings.limits, recognise)
        async with self._fetcher.fetch(url, time.monotonic() + _PATIENCE_S) as data:
            return data


@asynccontextmanager
async def opened(sources: Sources) -> AsyncIterator[None]:
    """Close them at the end."""
    try:
        yield
    finally:
        await sources.close()


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)
