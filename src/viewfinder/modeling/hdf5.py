"""Weights from Keras' HDF5 files, read without trust: numbers, in the shapes asked for.

Nothing in these files is run: the configuration of a whole model, which may carry code, is not
looked at. What points out of the file (external links and storage, virtual data sets) is refused.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import MissingExtraError, WeightsError

try:
    import h5py
except ImportError as error:
    raise MissingExtraError("reading HDF5 weights", "train") from error

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WantedLayer:
    """A layer with weights of the model to be filled.

    Attributes:
        name: Its name.
        kind: Its class in snake case, by which Keras 3 numbers the layers in a file.
        shapes: Of its weights, in Keras' order.
    """

    name: str
    kind: str
    shapes: tuple[Shape, ...]


def read_weights(path: Path, wanted: Sequence[WantedLayer]) -> list[list[NDArray[np.float32]]]:
    """Read the weights of those layers; the rest of the file, a head above all, is passed over.

    Args:
        path: `.h5`, of weights or of a whole model, or `.weights.h5` of Keras 3.
        wanted: The layers, in the order of the model.

    Returns:
        For each layer, its weights.

    Raises:
        WeightsError: The file is damaged, belongs to another architecture, or holds something else
            than finite numbers.
    """
    try:
        with h5py.File(path, "r") as file:
            found = _Stored(file).find(wanted)
            return [
                [
                    _read(data, layer.name, shape)
                    for data, shape in zip(stored, layer.shapes, strict=True)
                ]
                for stored, layer in zip(found, wanted, strict=True)
            ]
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error.detail}") from error
    except Exception as error:  # a damaged file leads the library into any of its errors
        raise WeightsError(f"{path.name} is not a readable HDF5 file of weights") from error


class _Stored:
    """The layers of a file, in either of the ways in which Keras writes them."""

    def __init__(self, file: Any) -> None:
        self._root = _member(file, "model_weights") if "model_weights" in file else file

    def find(self, wanted: Sequence[WantedLayer]) -> list[list[Any]]:
        found = self._by_class(wanted) if "layers" in self._root else self._by_order(wanted)
        for stored, layer in zip(found, wanted, strict=True):
            shapes = tuple(tuple(data.shape) for data in stored)
            if shapes != layer.shapes:
                raise WeightsError(
                    f"weights of another architecture: {layer.name} has "
                    f"{_listed(shapes)}, not {_listed(layer.shapes)}"
                )
        return found

    def _by_class(self, wanted: Sequence[WantedLayer]) -> list[list[Any]]:
        """Keras 3: `layers/conv2d_7/vars/0`, numbered for each class in the model's order."""
        layers, found = _member(self._root, "layers"), []
        counters: dict[str, Iterator[int]] = {}
        for layer in wanted:
            number = next(counters.setdefault(layer.kind, itertools.count()))
            group = f"{layer.kind}_{number}" if number else layer.kind
            variables = _member(_member(layers, group), "vars")
            found.append([_member(variables, str(n)) for n in range(len(variables))])
        return found

    def _by_order(self, wanted: Sequence[WantedLayer]) -> list[list[Any]]:
        """Keras 1 and 2, and the published files: by name, or in order where names have changed."""
        stored = {}
        for name in _names(self._root, "layer_names"):
            group = _member(self._root, name)
            if weights := _names(group, "weight_names"):
                stored[name] = [_member(group, weight) for weight in weights]
        if len(stored) < len(wanted):
            raise WeightsError(
                f"weights of another architecture: of {len(stored)} layers, not {len(wanted)}"
            )
        if all(layer.name in stored for layer in wanted):
            return [stored[layer.name] for layer in wanted]
        return list(itertools.islice(stored.values(), len(wanted)))


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras cuts one that is longer than an attribute may be into chunks."""
    attributes = group.attrs
    if attribute in attributes:
        chunks = [attributes[attribute]]
    else:
        numbered = (f"{attribute}{n}" for n in itertools.count())
        chunks = [
            attributes[name] for name in itertools.takewhile(attributes.__contains__, numbered)
        ]
    names = itertools.chain.from_iterable(chunks)
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _member(group: Any, path: str) -> Any:
    """What a path of hard links leads to: no other link is followed."""
    for part in path.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            raise WeightsError(f"weights of another architecture: there is no {path}")
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise WeightsError("the file points to data outside of it")
        group = group[part]
    return group


def _read(data: Any, layer: str, shape: Shape) -> NDArray[np.float32]:
    if not isinstance(data, h5py.Dataset) or data.shape != shape:
        raise WeightsError(f"the weights of {layer} are damaged")
    if data.is_virtual or data.external:
        raise WeightsError("the file points to data outside of it")
    if data.dtype.kind not in "fiu":
        raise WeightsError(f"the weights of {layer} are not numbers")
    array = np.asarray(data[...], np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(f"the weights of {layer} are not finite")
    return array


def _listed(shapes: tuple[Shape, ...]) -> str:
    return " ".join("x".join(map(str, shape)) or "a number" for shape in shapes) or "none"
