"""A copy, on this machine, of a model store that is elsewhere."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from viewfinder.registry.routing import ROUTING
from viewfinder.types import is_model_name, parse_version

_LOCK = ".lock"
_PARTIAL = ".partial-"


class Mirror:
    """A folder laid out as `FolderStore` lays it out. Its processes take turns to change it.

    A path is `<name>/<version>` or `<name>/routing.json`. Each has a mark beside it: what it was
    copied from. A mark is written last and deleted first, so that a copy whose mark is right is
    whole. The folder may be deleted at any time; it is made again.

    Args:
        folder: It is made when something comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep the others from changing it meanwhile."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.folder.glob(f"{_PARTIAL}*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            yield

    def has(self, path: str, mark: str) -> bool:
        """Whether the copy has this mark."""
        target = self.folder / path
        try:
            return target.exists() and _mark_of(target).read_text() == mark
        except OSError:
            return False

    @contextlib.contextmanager
    def replacing(self, path: str) -> Iterator[Path]:
        """A path to write the copy to; it takes its place whole if nothing is raised."""
        target = self.folder / path
        with self._scratch() as scratch:
            partial = scratch / target.name
            yield partial
            target.parent.mkdir(exist_ok=True)
            _put_aside(target, scratch)
            partial.rename(target)

    def mark(self, path: str, mark: str) -> None:
        """Note what the copy was made from."""
        _mark_of(self.folder / path).write_text(mark)

    def drop(self, path: str) -> None:
        """Delete a copy; nothing happens if there is none."""
        target = self.folder / path
        with self._scratch() as scratch:
            _put_aside(target, scratch)
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # it was the last

    def keep(self, paths: Collection[str]) -> None:
        """Delete every copy but these."""
        for target in self.folder.glob("*/*"):
            path = f"{target.parent.name}/{target.name}"
            is_copy = target.name == ROUTING or parse_version(target.name) is not None
            if is_copy and is_model_name(target.parent.name) and path not in paths:
                self.drop(path)

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=_PARTIAL) as scratch:
            yield Path(scratch)


def _mark_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.mark")


def _put_aside(target: Path, scratch: Path) -> None:
    _mark_of(target).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        target.rename(scratch / f"old-{target.name}")
