"""The same photos, seen a little differently each time.

One affine map a photo, so that it is resampled once: crop, zoom, flip, and a slight rotation; then
brightness and contrast. What comes out is uint8 again, as photos are when the model is served.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_TURN = 10 / 180 * np.pi
_ZOOM = (0.75, 1.0)
_LIGHT = 0.2
_EVEN = 0.5 - 2**-25  # between two numbers that `random` gives, so that the sign is never 0


def augment(
    pixels: NDArray[np.uint8], side: int, seeds: Sequence[Sequence[int]]
) -> NDArray[np.uint8]:
    """Show photos differently.

    Args:
        pixels: uint8 `[N, S, S, 3]`, S at least `side`.
        side: Height and width of the model's input.
        seeds: Of each photo, numbers from 0; the same make the same change.

    Returns:
        uint8 `[N, side, side, 3]`.
    """
    chance = np.stack([np.random.default_rng(seed).random(7, dtype=np.float32) for seed in seeds])
    transforms = _transforms(chance, pixels.shape[1], side)
    light = 1 + _LIGHT * (2 * chance[:, 5:7] - 1)
    changed: NDArray[np.uint8] = change()(
        tf.constant(pixels), tf.constant(transforms), tf.constant(light), tf.constant(side)
    ).numpy()
    return changed


def _transforms(chance: NDArray[np.float32], larger: int, side: int) -> NDArray[np.float32]:
    """Where in the photo each pixel of the result comes from: float32 `[N, 8]` for TensorFlow.

    Args:
        chance: `[N, 5 or more]`, 0-1: turn, zoom, flip, place across, place down.
        larger: Side of the photo.
        side: Side of the result.
    """
    turn = _TURN * (2 * chance[:, 0] - 1)
    zoom = (_ZOOM[0] + (_ZOOM[1] - _ZOOM[0]) * chance[:, 1]) * larger / side
    flip = np.sign(chance[:, 2] - _EVEN)
    room = (larger - side * zoom) / 2
    across = larger / 2 + room * (2 * chance[:, 3] - 1)
    down = larger / 2 + room * (2 * chance[:, 4] - 1)
    cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
    # The result is turned and zoomed about its own centre, which then lies at (across, down).
    xx, xy, yx, yy = cosine * flip, -sine, sine * flip, cosine
    half = side / 2
    none = np.zeros_like(xx)
    return np.stack(
        [xx, xy, across - (xx + xy) * half, yx, yy, down - (yx + yy) * half, none, none], axis=1
    ).astype(np.float32)


def _change_photos(pixels: Any, transforms: Any, light: Any, side: Any) -> Any:
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pixels, tf.float32),
        transforms=transforms,
        output_shape=tf.stack([side, side]),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    contrast, brightness = (tf.reshape(light[:, n], (-1, 1, 1, 1)) for n in (0, 1))
    mean = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    lit = (moved - mean) * contrast + mean * brightness
    return tf.cast(tf.clip_by_value(tf.round(lit), 0, 255), tf.uint8)


@functools.cache
def change() -> Any:
    """The graph of it; whoever is to use it from several threads makes it before.

    One concrete function, as a `tf.function` takes a lock each time it is called. It is called on
    TensorFlow's threads: a garbage collection there may end an old pipeline, which waits for its
    last batches, which waited for that lock.
    """
    signature = [
        tf.TensorSpec((None, None, None, 3), tf.uint8),
        tf.TensorSpec((None, 8), tf.float32),
        tf.TensorSpec((None, 2), tf.float32),
        tf.TensorSpec((), tf.int32),
    ]
    return tf.function(_change_photos, input_signature=signature).get_concrete_function()
