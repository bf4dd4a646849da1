"""What heat maps need of a classifier; read off a model without importing Keras."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

POOL = "pool"
"""The layer that takes the mean of the last feature map."""

_HEAD = "logits"


def has_linear_head(model: Any) -> bool:
    """Whether logits are a weighted sum of the pooled features, so that each place has its share.

    Args:
        model: What `build_classifier` made.
    """
    names = [layer.name for layer in model.layers]
    if POOL not in names:
        return False
    weighted = [layer.name for layer in model.layers[names.index(POOL) + 1 :] if layer.weights]
    return weighted == [_HEAD]


def head_weights(model: Any) -> NDArray[np.float32]:
    """What the logits make of the pooled features, float32 `[F, C]`, without the bias.

    Args:
        model: What `build_classifier` made, with a linear head.
    """
    return np.asarray(model.get_layer(_HEAD).kernel, np.float32)
