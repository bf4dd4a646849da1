"""A small classifier with what MobileNetV3 is made of, and pictures to tell apart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.conversion.layers import layers_of

SIDE = 32
CLASSES = 10
_FEATURES = 32
_OUTLIER = 1000.0

Pictures = NDArray[np.uint8]


def pictures(count: int) -> Pictures:
    """Blurred patches of colour, uint8 `[count, 32, 32, 3]`."""
    patches = np.random.default_rng(5).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return patches.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)


def classifier(*, outlier: bool = False, odd: bool = False) -> Any:
    """Hard-swish, squeeze-and-excite, and a head under which every class occurs.

    Args:
        outlier: One channel is multiplied by 1,000 on its way, and divided again.
        odd: With an operation that LiteRT does not have.
    """
    import keras

    keras.utils.set_random_seed(11)
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, -1)(keras.ops.cast(image, "float32"))
    x = layers.Conv2D(16, 3, strides=2, activation="hard_silu")(x)
    if outlier:
        x = _scaled(layers, x, _OUTLIER, "raised")
        x = _scaled(layers, x, 1 / _OUTLIER, "lowered")
    x = layers.DepthwiseConv2D(3, padding="same", activation="hard_silu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(
        layers.Conv2D(8, 1, activation="relu")(gate)
    )
    x = layers.Multiply()([x, gate])
    x = layers.Conv2D(256, 1)(x)
    if odd:
        x = keras.ops.sinh(x)
    x = layers.Conv2D(_FEATURES, 3, strides=2, activation="hard_silu")(x)
    features = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(CLASSES, name="logits")(features)
    model = keras.Model(image, logits)
    seen = keras.Model(image, features)(pictures(64)).numpy()
    kernel = np.random.default_rng(2).normal(size=(_FEATURES, CLASSES)) / seen.std(0)[:, None]
    model.get_layer("logits").set_weights([kernel, -seen.mean(0) @ kernel])
    return model


def _scaled(layers: Any, x: Any, factor: float, name: str) -> Any:
    layer = layers.DepthwiseConv2D(1, use_bias=False, name=name)
    x = layer(x)
    kernel = np.ones((1, 1, 16, 1))
    kernel[..., 3, :] = factor
    layer.set_weights([kernel])
    return x


def scores(graph: bytes, photos: Pictures) -> NDArray[np.float32]:
    """What LiteRT gives."""
    return _outputs(graph, photos, rank=2)


def feature_maps(graph: bytes, photos: Pictures) -> NDArray[np.float32]:
    """What LiteRT gives beside the scores, float32 `[N, h, w, F]`."""
    return _outputs(graph, photos, rank=4)


def _outputs(graph: bytes, photos: Pictures, rank: int) -> NDArray[np.float32]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph, num_threads=1)
    interpreter.allocate_tensors()
    (image,) = interpreter.get_input_details()
    (wanted,) = (one for one in interpreter.get_output_details() if len(one["shape"]) == rank)
    rows = []
    for photo in photos:
        interpreter.set_tensor(image["index"], photo[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(wanted["index"])[0])
    return np.stack(rows)


def agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How many of the pictures, 0-1, get the same answer."""
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def layer_called(graph: bytes, part: str) -> str:
    """The full name of the one layer with that in its name."""
    (name,) = [layer.name for layer in layers_of(graph) if f"/{part}" in layer.name]
    return name
