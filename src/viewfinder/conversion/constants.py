"""What layers have worked out of their weights, as numbers that converters can take."""

from typing import Any

import numpy as np


def as_numbers(model: Any) -> None:
    """Turn what a normalisation computes with from tensors into numbers, which give the same.

    A tensor that is no weight would become an input of an ONNX graph, and of a SavedModel an object
    of its own, which the engine refuses.

    Args:
        model: A `keras.Model`, whose layers are its own and not those of a model within.
    """
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            for name in ("mean", "variance"):
                setattr(layer, name, np.asarray(getattr(layer, name)))
