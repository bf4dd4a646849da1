"""Cutting a classifier in two: below, what stays as it is; above, what is trained."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from viewfinder.modeling.extra import keras, kind_of
from viewfinder.modeling.features import POOL


def below_pool(model: Any) -> list[Any]:
    """The layers of the backbone, without those of the head."""
    layers: list[Any] = model.layers
    return layers[: [layer.name for layer in layers].index(POOL)]


def cut_points(model: Any) -> list[str]:
    """The layers after which the model can be cut in two at the borders of blocks, lowest first.

    They are found in the graph: everything passes through such a layer, and it is the last before
    the path branches (a residual block begins) or gets more channels (an inverted residual block
    begins). A branch that ends in a product is a gate (squeeze-and-excite), inside of a block.
    There are weights on both sides of a cut, and on its upper side not only those of the head.
    A layer that Keras has numbered is left out: in another process it is called otherwise.
    """
    weighted = {layer.name for layer in below_pool(model) if _learns(layer)}
    points = []
    for run in _runs(model):
        for step, following in zip(run, [*run[1:], None], strict=True):
            ends = following is None or following.channels > step.channels
            if ends and step.named and 0 < len(weighted & step.passed) < len(weighted):
                points.append(step.layer)
    return points


def split_at(model: Any, layer: str) -> tuple[Any, Any]:
    """Cut the model in two; the parts share its layers and weights.

    Args:
        model: What `build_classifier` made.
        layer: Through which everything passes: one of `cut_points`, or `pool`.

    Returns:
        Two `keras.Model`: photos to the output of the layer, and that to logits.
    """
    border = model.get_layer(layer).output
    return keras.Model(model.input, border), keras.Model(border, model.output)


def _learns(layer: Any) -> bool:
    return bool(layer.weights) and not isinstance(layer, keras.layers.Normalization)


@dataclass(frozen=True, slots=True)
class _Step:
    """A layer through which everything passes, and the names of what lies below it."""

    layer: str
    channels: int
    named: bool
    passed: frozenset[str]


def _runs(model: Any) -> list[list[_Step]]:
    """The single path from the photo to the pool, in pieces: between two of them it branches."""
    runs: list[list[_Step]] = []
    passed: list[str] = []
    last: Any = None
    for operation, alone in _walk(model):
        passed.append(operation.name)
        if not alone:
            continue
        step = _Step(
            layer=operation.name,
            channels=operation.output.shape[-1],
            named=not re.fullmatch(rf"{kind_of(operation)}(_\d+)?", operation.name),
            passed=frozenset(passed),
        )
        gate = isinstance(operation, keras.layers.Multiply)
        if runs and (gate or operation.input is last):
            runs[-1].append(step)
        else:
            runs.append([step])
        last = operation.output
    return runs


def _walk(model: Any) -> Iterator[tuple[Any, bool]]:
    """Each operation below the pool, and whether its output is all that is needed from there on."""
    operations = model.operations  # each after those that it needs
    waiting = Counter(id(tensor) for operation in operations for tensor in _inputs(operation))
    live: set[int] = set()
    for operation in operations:
        if operation.name == POOL:
            return
        for tensor in _inputs(operation):
            waiting[id(tensor)] -= 1
            if not waiting[id(tensor)]:
                live.discard(id(tensor))
        live.add(id(operation.output))
        yield operation, live == {id(operation.output)}


def _inputs(operation: Any) -> list[Any]:
    if isinstance(operation, keras.layers.InputLayer):
        return []
    tensors: list[Any] = keras.tree.flatten(operation.input)
    return tensors
