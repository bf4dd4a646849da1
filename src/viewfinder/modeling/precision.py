"""The same model in another precision."""

from typing import Any

from viewfinder.modeling.extra import keras
from viewfinder.modeling.saving import set_weights

_HALF = "mixed_float16"
_LOGITS = "logits"


def as_mixed_float16(model: Any) -> Any:
    """A classifier that computes in float16 between its layers, for GPUs with tensor cores.

    Weights and logits stay float32; so do the means and variances of batch normalisation. On a CPU
    it is slower than the model that it is made of.

    Args:
        model: A `keras.Model` in float32 whose last layer is called `logits`: uint8 `[N, H, W, 3]`
            to `[N, C]`.

    Returns:
        A new `keras.Model` of the same layers, by their names, with a copy of the same weights.
    """

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):  # an operation such as the cast of the pixels
            return layer
        config = layer.get_config()
        if layer.name != _LOGITS and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = _HALF
        return type(layer).from_config(config)

    half = keras.models.clone_model(model, clone_function=clone)
    set_weights(half, model.get_weights())
    return half
