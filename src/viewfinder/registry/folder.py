"""A model store in a folder, of this machine alone or shared by replicas."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from viewfinder.errors import StoreError
from viewfinder.registry.bundle import Bundle, write_bundle
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.routing import ROUTING, Routing, read_routing

_LOCK = ".lock"


class FolderStore:
    """A folder on this machine, or one that replicas share.

    Args:
        folder: It is made when the first version comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._was_there = False

    def refresh(self) -> None:
        """See that the folder, which is the store, has not gone: see `ModelStore.refresh`.

        Who deletes models deletes them in it. One that was there as a whole, and is there no more,
        is on a disk that is away.
        """
        self._was_there = self._check_there()

    def check_writable(self, name: str) -> None:
        """Try it with an empty folder: see `ModelStore.check_writable`."""
        self._check_there()
        with _told():
            self.folder.mkdir(parents=True, exist_ok=True)
            model = self._model(name)
            place = model if model.is_dir() else self.folder
            tempfile.TemporaryDirectory(dir=place, prefix=".partial-").cleanup()

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Write a version: see `ModelStore.add`."""
        self._check_there()
        with _told():
            return write_bundle(self._model(manifest.name) / str(manifest.version), manifest, files)

    def remove(self, name: str, version: int) -> None:
        """Take a version away: see `ModelStore.remove`."""
        folder = self._model(name) / str(version)
        if not folder.is_dir():
            return
        with _told(), tempfile.TemporaryDirectory(dir=self.folder, prefix=".gone-") as gone:
            folder.rename(Path(gone) / folder.name)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # it was the last

    def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change a model's routing: see `ModelStore.route`."""
        self._check_there()
        path = self._model(name) / ROUTING
        with _told(), self._locked():
            changed = change(_routing(path))
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(f".{ROUTING}.partial")
            with partial.open("w") as file:
                file.write(changed.model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        return changed

    def _check_there(self) -> bool:
        """Whether there is a folder. One that has gone is not made anew: it would be an empty one.

        Raises:
            StoreError: It was there, and is no more; or that cannot be told.
        """
        try:
            self.folder.stat()
            is_there = True
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        except OSError as error:
            detail = f"cannot read the model store {self.folder}: {error.strerror}"
            raise StoreError(detail) from error
        if self._was_there and not is_there:
            raise StoreError(f"the model store {self.folder} is there no more")
        return is_there

    def _model(self, name: str) -> Path:
        return self.folder / name

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _routing(path: Path) -> Routing:
    """The routing in a file; an empty one if there is no file.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return read_routing(path)
    except FileNotFoundError:
        return Routing()
    except ValueError as error:
        raise StoreError(f"{path} is damaged; mend or delete it") from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write the model store: {error.strerror}: {error.filename}"
        ) from error
