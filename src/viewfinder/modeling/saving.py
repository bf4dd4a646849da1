"""The weights of a Keras model as a file that holds numbers and nothing else."""

import io
from collections.abc import Sequence
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import WeightsError


def pack_weights(model: Any) -> bytes:
    """An `.npz` of a model's weights, in the model's order, each with its layer's name.

    Args:
        model: A `keras.Model` in float32.
    """
    named = {f"{n:04d}/{weight.path}": weight.numpy() for n, weight in enumerate(model.weights)}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **named)
    return file.getvalue()


def unpack_weights(model: Any, data: bytes) -> None:
    """Give a model the weights that another of the same architecture had.

    Args:
        model: A `keras.Model`, built by the same code.
        data: What `pack_weights` returned.

    Raises:
        WeightsError: The file is damaged, or belongs to another architecture.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = [found[name] for name in sorted(found)]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise WeightsError("the model's weights cannot be read") from error
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in model.weights]:
        raise WeightsError("the model's weights belong to another architecture")
    set_weights(model, arrays)


def set_weights(model: Any, arrays: Sequence[NDArray[Any]]) -> None:
    """Give a model its weights, in its order, those of its normalisation of the pixels included."""
    model.set_weights(arrays)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # it computes with what it had when it was built
