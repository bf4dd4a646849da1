"""What this machine trains on, and how TensorFlow is made ready for it."""

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf


def gpus() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def prepare(seed: int) -> None:
    """Make training repeatable, and quick on GPUs.

    Half precision holds activations there and nothing else: the weights stay float32, and so do the
    logits and the loss. TensorFlow takes GPU memory as it needs it, not all there is.
    """
    keras.utils.set_random_seed(seed)
    if gpus():
        # On a CPU the kernels repeat themselves as they are, and this would make them slower.
        tf.config.experimental.enable_op_determinism()
    for device in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # it runs already, with what it has taken
            tf.config.experimental.set_memory_growth(device, True)
    keras.mixed_precision.set_global_policy("mixed_float16" if gpus() else "float32")


def scope() -> AbstractContextManager[Any]:
    """Where a model is to be built: shared by all GPUs if there are several."""
    if gpus() > 1:
        shared: AbstractContextManager[Any] = tf.distribute.MirroredStrategy().scope()
        return shared
    return contextlib.nullcontext()


@contextlib.contextmanager
def full_precision() -> Any:
    """Where a model is built that leaves this machine."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
