"""An upload that must be whole before it is read: in a file without a name."""

import asyncio
import contextlib
import logging
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from viewfinder.errors import OverloadedError
from viewfinder.settings import MIB

logger = logging.getLogger(__name__)

_PIECE = MIB
_RETRY_S = 30


def no_room(error: OSError) -> OverloadedError:
    """What to tell a caller whose upload cannot be kept; the log is told why."""
    logger.warning("an upload cannot be kept: %s", error)
    return OverloadedError("There is no room for the upload now.", retry_after_s=_RETRY_S)


class Spool:
    """A private file that nobody else can find, and that is gone when this process is.

    It lies in the data home, where there is more room than in most folders for temporary files,
    or, if nothing may be written there, in one of these.

    Args:
        home: The data home.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._waiting = bytearray()
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Add to it.

        Raises:
            OverloadedError: There is no room.
        """
        self._waiting += data
        if len(self._waiting) >= _PIECE:
            await self._flush()

    async def whole(self) -> BinaryIO:
        """The file, to be read; it is closed by `close`.

        Raises:
            OverloadedError: There is no room.
        """
        await self._flush()
        return cast("BinaryIO", self._file)

    def close(self) -> None:
        """Let it go."""
        self._waiting.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # it writes first what had no room before
                self._file.close()

    async def _flush(self) -> None:
        data, self._waiting = self._waiting, bytearray()
        try:
            await asyncio.to_thread(self._write, data)
        except OSError as error:
            raise no_room(error) from error

    def _write(self, data: bytearray) -> None:
        if self._file is None:
            self._file = _open(self._home)
        self._file.write(data)
        self._file.flush()


def _open(home: Path) -> BinaryIO:
    try:
        home.mkdir(parents=True, exist_ok=True)
        return cast("BinaryIO", tempfile.TemporaryFile(dir=home))
    except OSError:
        return cast("BinaryIO", tempfile.TemporaryFile())
