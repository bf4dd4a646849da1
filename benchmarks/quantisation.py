"""Where the time of a quantised graph goes: whole networks, and chains of one kind of layer.

    python -m benchmarks.quantisation [--rounds 30] [--quick]

Each graph is made in six ways: float32; float16; `dynamic` as TFLiteConverter's `Optimize.DEFAULT`
makes it without photos; `dynamic` as `viewfinder optimize` makes it (depthwise convolutions compute
in float); int8; and float32 with seven weights of ten set to zero. They take turns in one process,
one image at a time on one thread, and the processor time of that thread counts: what others do on
the machine disturbs little. What says something is the ratio of the medians to float32. Weights are
random, which takes as long. Needs the extra `train`.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from operator import methodcaller
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness import PHOTOS, Figure, median, parse, parser, save
from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.quantization import quantize_int8, to_dynamic, to_float16
from viewfinder.conversion.terminal import quiet
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.modeling.classifier import build_classifier

FLOAT32 = "float32"
_CLASSES = 10
_LAYERS_OF_A_CHAIN = 8
_SPARSITY = 0.7
_WHOLE = ("efficientnet-lite0", "mobilenet-v3-large")
_WARM_UP = 3

Pixels = NDArray[np.uint8]


def main() -> None:
    """Measure, print and save."""
    rounds = parse(parser(__doc__, rounds=(30, 5))).rounds
    keras.utils.set_random_seed(0)
    figures: list[Figure] = []
    times: dict[str, dict[str, float]] = {}
    pieces: dict[str, dict[str, int]] = {}
    for name, build in _subjects().items():
        found, pieces[name] = measure(build(), rounds)
        times[name] = found
        told = ", ".join(f"{kind} {found[kind] / found[FLOAT32]:.2f}" for kind in found)
        print(f"{name}: {told} (float32 {found[FLOAT32]:.2f} ms)", flush=True)
        split = ", ".join(f"{kind} {count}" for kind, count in pieces[name].items())
        print(f"  pieces of XNNPACK: {split}", flush=True)
        figures += [
            Figure(f"{name}, {kind}, time to float32", milliseconds / found[FLOAT32])
            for kind, milliseconds in found.items()
            if kind != FLOAT32
        ]
    save("quantisation", figures, milliseconds=times, pieces=pieces)


def _subjects() -> Mapping[str, Callable[[], Any]]:
    whole = {name: partial(_network, name) for name in _WHOLE}
    layers = keras.layers
    return {
        **whole,
        "1x1 convolutions, 14x14x240": lambda: chain(14, 240, lambda: layers.Conv2D(240, 1)),
        "1x1 convolutions, 56x56x48": lambda: chain(56, 48, lambda: layers.Conv2D(48, 1)),
        "depthwise 3x3 convolutions, 14x14x240": lambda: chain(14, 240, partial(_depthwise, 3)),
        "depthwise 5x5 convolutions, 56x56x48": lambda: chain(56, 48, partial(_depthwise, 5)),
    }


def _network(name: str) -> Any:
    """A network with random weights, whose activations are neither tiny nor huge all the same."""
    model = build_classifier(BACKBONES[name], _CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # it takes over what it sees, and forgets what it was made with
    model(np.stack(_photos(model.input_shape[1:])), training=True)
    return model


def _depthwise(side: int) -> Any:
    """A depthwise layer that keeps about the size of what it is given; Keras' own makes it tiny."""
    weights = keras.initializers.RandomUniform(0, 2 / side**2)
    return keras.layers.DepthwiseConv2D(side, padding="same", depthwise_initializer=weights)


def chain(side: int, channels: int, layer: Callable[[], Any]) -> Any:
    """Layers of one kind, one after the other, between the pixels and ten classes."""
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(keras.ops.cast(image, "float32"))
    x = keras.layers.ReLU(6)(keras.layers.Conv2D(channels, 1)(x))
    for _ in range(_LAYERS_OF_A_CHAIN):
        x = keras.layers.ReLU(6)(layer()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(_CLASSES)(x))


def measure(model: Any, rounds: int) -> tuple[dict[str, float], dict[str, int]]:
    """The median milliseconds of one image, and how many pieces XNNPACK runs of the graph.

    Both by the way in which the graph was made. A graph that XNNPACK has all kernels for is one
    piece; what it lacks stands between two, and runs in kernels of LiteRT's own.
    """
    photos = _photos(model.input_shape[1:])
    graphs = _graphs(model, photos)
    loaded = {kind: _loaded(graph, photos[0]) for kind, graph in graphs.items()}
    calls = {kind: interpreter.invoke for kind, interpreter in loaded.items()}
    spent: dict[str, list[float]] = {kind: [] for kind in calls}
    for turn in range(rounds + _WARM_UP):
        for kind, call in calls.items():
            began = time.thread_time()
            call()
            if turn >= _WARM_UP:
                spent[kind].append((time.thread_time() - began) * 1000)
    times = {kind: median(milliseconds) for kind, milliseconds in spent.items()}
    return times, {kind: _pieces(interpreter) for kind, interpreter in loaded.items()}


def _pieces(interpreter: Any) -> int:
    # Its profiler is not to be had from Python. A piece is an operation more than the file has.
    return sum(operation["op_name"] == "DELEGATE" for operation in _operations(interpreter))


def _graphs(model: Any, photos: list[Pixels]) -> dict[str, bytes]:
    graph = to_litert(model)
    made = {
        FLOAT32: graph,
        "float16": to_float16(graph),
        "dynamic (Optimize.DEFAULT)": _as_tutorials_do(model),
        "dynamic (ours)": to_dynamic(graph),
        "int8": quantize_int8(graph, photos),
    }
    for weight in model.weights:
        values = np.array(weight)
        smallest = np.abs(values) < np.quantile(np.abs(values), _SPARSITY)
        weight.assign(np.where(smallest, 0, values) if values.ndim > 1 else values)
    return {**made, "70% zeros": to_litert(model)}


def _as_tutorials_do(model: Any) -> bytes:
    with quiet():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def _photos(shape: tuple[int, int, int]) -> list[Pixels]:
    """The example photos in the shape of an input."""
    height, width, _ = shape
    return [
        np.asarray(Image.open(path).convert("RGB").resize((width, height)), np.uint8)
        for path in PHOTOS
    ]


# LiteRT has no public name for it.
_operations = methodcaller("_get_ops_details")


def _loaded(graph: bytes, photo: Pixels) -> Any:
    with quiet():
        interpreter = Interpreter(model_content=graph, num_threads=1)
        interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photo[np.newaxis])
    return interpreter


if __name__ == "__main__":
    main()
