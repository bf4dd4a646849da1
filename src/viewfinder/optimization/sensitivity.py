"""Which layers of a graph int8 harms, and a graph that keeps those in float.

The error of a layer is measured by the channel: a channel whose values are a thousandth of its
neighbour's is lost when both share one scale, and hardly shows in the error of the whole tensor.
Errors are handed on from layer to layer, so that the last ones look worst whatever the cause. What
names the cause is the growth: how many times the error of its inputs a layer's own error is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from viewfinder.conversion.layers import Layer, layers_of
from viewfinder.conversion.quantization import calibrate, quantize_calibrated

_COMPARED_PHOTOS = 8
# Less than int8 itself rounds away of a well-used range; growth from nothing would be endless.
_LEAST_ERROR = 0.01
_FEWEST = 1
_SHARES = (0.02, 0.05, 0.1, 0.2)
# A channel that varies this little beside the liveliest one carries nothing.
_DEAD = 1e-12

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LayerError:
    """What int8 does to one layer.

    Attributes:
        name: Of its output tensor.
        kind: As LiteRT calls the operation, for example `CONV_2D`.
        error: Root of the mean square, over its channels, of the difference from float divided by
            the channel's standard deviation; 0-1, where at 1 nothing of the channels is left.
        growth: How many times the error of its inputs that is. The layers to blame have most.
    """

    name: str
    kind: str
    error: float
    growth: float


@dataclass(frozen=True, slots=True)
class Mixed:
    """An int8 graph, some of whose layers stay in float.

    Attributes:
        graph: uint8 in, float32 logits out.
        kept: The names of the layers that were chosen to stay in float, worst first.
        layers: What int8 does to each layer where none is kept, worst first.
        score: What the judge said of the graph.
    """

    graph: bytes
    kept: tuple[str, ...]
    layers: tuple[LayerError, ...]
    score: float


def layer_errors(float32: bytes, int8: bytes, photos: Sequence[Pixels]) -> tuple[LayerError, ...]:
    """Compare each quantised layer of an int8 graph with the same layer in float.

    Args:
        float32: What `to_litert` returned.
        int8: What was quantised from it.
        photos: A few, uint8 `[H, W, 3]`, through the serving geometry.

    Returns:
        The layers whose output is int8, those to blame first.

    Raises:
        MissingExtraError: litert-quantizer is not installed.
    """
    layers = layers_of(float32)
    exact, rounded = _Tensors(float32), _Tensors(int8)
    names = [layer.name for layer in layers if rounded.is_int8(layer.name)]
    squares = {name: _Squares() for name in names}
    for photo in photos:
        exact.run(photo)
        rounded.run(photo)
        for name in names:
            squares[name].add(exact.values(name), rounded.values(name))
    errors = {name: squares[name].error() for name in names}
    found = [
        LayerError(layer.name, layer.kind, errors[layer.name], _growth(layer, errors))
        for layer in layers
        if layer.name in errors
    ]
    return tuple(sorted(found, key=lambda layer: layer.growth, reverse=True))


def mixed_int8(
    float32: bytes,
    photos: Sequence[Pixels],
    *,
    judge: Callable[[bytes], float],
    enough: float,
    progress: Callable[[int, int], None],
) -> Mixed:
    """Quantise to int8, and keep as few layers in float as the judge is content with.

    At most six graphs are made: int8 throughout, then with ever more of the layers to blame in
    float, from one to a fifth of all.

    Args:
        float32: What `to_litert` returned.
        photos: To calibrate with, uint8 `[H, W, 3]`, through the serving geometry.
        judge: Says how good a graph is, for example its accuracy; more is better.
        enough: The score from which on a graph will do.
        progress: Is told how many graphs are judged, and of how many at most.

    Returns:
        The first graph that will do, else the best one, and of equals the one with fewest layers
        in float.

    Raises:
        ConversionError: There are no photos, or the graph cannot be quantised.
        MissingExtraError: litert-quantizer is not installed.
    """
    ranges = calibrate(float32, photos)
    plain = quantize_calibrated(float32, ranges)
    few = photos[:: -(-len(photos) // _COMPARED_PHOTOS)]
    layers = layer_errors(float32, plain, few)
    steps = _steps(len(layers))
    best = Mixed(plain, (), layers, judge(plain))
    for done, count in enumerate(steps, start=1):
        progress(done, len(steps) + 1)
        if best.score >= enough:
            break
        kept = tuple(layer.name for layer in layers[:count])
        graph = quantize_calibrated(float32, ranges, keep_float=kept)
        found = Mixed(graph, kept, layers, judge(graph))
        if found.score > best.score:
            best = found
    progress(len(steps) + 1, len(steps) + 1)
    return best


def _steps(layers: int) -> list[int]:
    """How many layers to keep in float, one step after the other."""
    return sorted({_FEWEST, *(round(layers * share) for share in _SHARES)} - {0}) if layers else []


def _growth(layer: Layer, errors: Mapping[str, float]) -> float:
    before = max((errors[one] for one in layer.inputs if one in errors), default=0.0)
    return errors[layer.name] / max(before, _LEAST_ERROR)


class _Tensors:
    """A graph that can be asked for what is inside of it."""

    def __init__(self, graph: bytes) -> None:
        self._interpreter = Interpreter(
            model_content=graph,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._details: dict[str, Any] = {
            detail["name"]: detail for detail in self._interpreter.get_tensor_details()
        }

    def is_int8(self, name: str) -> bool:
        return name in self._details and self._details[name]["dtype"] is np.int8

    def run(self, photo: Pixels) -> None:
        (image,) = self._interpreter.get_input_details()
        self._interpreter.set_tensor(image["index"], photo[np.newaxis])
        self._interpreter.invoke()

    def values(self, name: str) -> NDArray[np.float32]:
        """float32 `[positions, channels]`."""
        detail = self._details[name]
        values: NDArray[np.float32] = self._interpreter.get_tensor(detail["index"]).astype(
            np.float32
        )
        scale, zero_point = detail["quantization"]
        if scale:
            values = (values - zero_point) * np.float32(scale)
        return values.reshape(-1, values.shape[-1])


class _Squares:
    """The sums behind a layer's error, over photos."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: Any = 0.0
        self._squares: Any = 0.0
        self._differences: Any = 0.0

    def add(self, exact: NDArray[np.float32], rounded: NDArray[np.float32]) -> None:
        exact = exact.astype(np.float64)
        self._count += len(exact)
        self._sums += exact.sum(axis=0)
        self._squares += np.square(exact).sum(axis=0)
        self._differences += np.square(exact - rounded).sum(axis=0)

    def error(self) -> float:
        variance = self._squares / self._count - np.square(self._sums / self._count)
        alive = variance > _DEAD * max(variance.max(), np.finfo(np.float64).tiny)
        if not alive.any():
            return 0.0
        lost = self._differences[alive] / self._count / variance[alive]
        return float(np.sqrt(np.minimum(lost, 1).mean()))
