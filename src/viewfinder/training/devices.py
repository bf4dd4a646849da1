"""What this machine trains on, and how TensorFlow is made ready for it."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf


def gpus() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def prepare(seed: int) -> None:
    """Make training repeatable. TensorFlow takes GPU memory as it needs it, not all there is."""
    keras.utils.set_random_seed(seed)
    for device in tf.config.list_physical_devices("GPU"):
        # On a CPU the kernels repeat themselves as they are, and this would make them slower.
        tf.config.experimental.enable_op_determinism()
        with contextlib.suppress(RuntimeError):  # it runs already, with what it has taken
            tf.config.experimental.set_memory_growth(device, True)


class Devices:
    """All that can train: one CPU, one GPU, or several that share each batch."""

    def __init__(self) -> None:
        self._shared = tf.distribute.MirroredStrategy() if gpus() > 1 else None

    @property
    def policy(self) -> str:
        """The precision of what lies between the layers.

        Half of it on GPUs, where it is quicker; the weights stay float32, and so do the logits and
        the loss.
        """
        return "mixed_float16" if gpus() else "float32"

    def scope(self) -> AbstractContextManager[Any]:
        """Where a model is built and trained."""
        if self._shared is None:
            return contextlib.nullcontext()
        scope: AbstractContextManager[Any] = self._shared.scope()
        return scope


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build models of a precision."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
