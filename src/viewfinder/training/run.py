"""What a training run has done so far, on disk, so that it can be stopped anywhere and go on."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
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
            TrainingError: Another process is at this very run.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise TrainingError("the same training runs already in another process") from error
            yield

    def save(self, name: str, arrays: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> None:
        """Put something aside, whole or not at all."""
        partial = self._folder / f"{name}.partial"
        named = {f"{_ARRAY}{number}": array for number, array in enumerate(arrays)}
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_FACTS: np.array(json.dumps(facts))}, **named)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path(name))

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
        """Forget the run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"
