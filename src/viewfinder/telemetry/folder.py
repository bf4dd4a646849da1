"""The folder in which the workers of one server count what they do."""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

logger = logging.getLogger(__name__)

_MEMORY = Path("/dev", "shm")
_PREFIX = "viewfinder-"
_FILES = "[0-9]*.*.n[au]m*"  # see `telemetry.cells.Place`
_FRESH_S = 60.0


class CountingFolder:
    """A folder of this process, and locked as long as it lives.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _locked(path)

    @classmethod
    def make(cls) -> Self | None:
        """A new one; None where no file can be had.

        In memory, if the system has files there: a write to a page that is on its way to a disk
        waits. What servers have left that were killed is taken away.
        """
        try:
            parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
            clear_left(parent)
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            try:
                return cls(path)
            except OSError:
                path.rmdir()
                raise
        except OSError:
            logger.warning("there is no room for temporary files: each worker has its own metrics")
            return None

    def remove(self) -> None:
        """Take it away."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def clear_left(parent: Path) -> None:
    """Take away the files of servers that are no more, and nothing else.

    Args:
        parent: Where the folders are.
    """
    for folder in parent.glob(f"{_PREFIX}*"):
        # Another's, or in use, or no folder at all, or there is more in it: it stays.
        with contextlib.suppress(OSError):
            if time.time() - folder.lstat().st_mtime < _FRESH_S:
                continue  # whoever makes it may not have locked it yet, and must be able to
            with _lock_of(folder):
                for file in folder.glob(_FILES):
                    file.unlink()
                folder.rmdir()


@contextlib.contextmanager
def _lock_of(folder: Path) -> Iterator[None]:
    lock = _locked(folder)
    try:
        yield
    finally:
        os.close(lock)


def _locked(folder: Path) -> int:
    """The open lock; it ends with the process, however that ends."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
