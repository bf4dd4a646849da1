"""What a training run has done so far, on disk, so that it can be stopped anywhere and go on."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import TrainingError

_FACTS = "facts"
_ARRAY = "array_"


@dataclass(frozen=True, slots=True)
class Saved:
    """What was put aside.

    Attributes:
        arrays: Numbers, in their order.
        facts: Whatever JSON can say.
    """

    arrays: list[NDArray[Any]]
    facts: Mapping[str, Any]


class RunFolder:
    """One run's folder; only one process at a time works in it.

    Args:
        folder: Made if it is not there. Runs of other options have other folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep others out.

        Raises:
            TrainingError: Another process is at this very run, or its state cannot be kept.
        """
        with ExitStack() as held:
            with self._told():
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context(self._lock.open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TrainingError("the same training runs already in another process") from error
            with self._told():
                ours = os.path.samestat(os.fstat(lock.fileno()), self._lock.stat())
            if not ours:
                raise TrainingError("the same training has just ended in another process")
            yield

    def save(self, name: str, arrays: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put something aside, whole or not at all.

        Raises:
            TrainingError: It cannot be written.
        """
        partial = self._folder / f"{name}.partial"
        named = {f"{_ARRAY}{number}": array for number, array in enumerate(arrays)}
        said = np.array(json.dumps(facts))
        try:
            with self._told(), partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_FACTS: said}, **named)
                file.flush()
                os.fsync(file.fileno())
                partial.replace(self._path(name))
        except TrainingError:
            with contextlib.suppress(OSError):
                partial.unlink()  # on a full disk, half of it only takes room
            raise

    def load(self, name: str) -> Saved | None:
        """What was put aside under a name; None if nothing was, or it cannot be read."""
        try:
            with (
                self._path(name).open("rb") as file,
                np.load(file, allow_pickle=False) as found,
            ):
                facts = json.loads(str(found[_FACTS]))
                return Saved([found[f"{_ARRAY}{n}"] for n in range(len(found) - 1)], facts)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def drop(self) -> None:
        """Forget the run, while it is held: whoever holds it next begins anew."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _lock(self) -> Path:
        return self._folder / "lock"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"cannot keep the state of training in {self._folder}: {error.strerror or error}"
            ) from error

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"
