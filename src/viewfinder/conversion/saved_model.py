"""Keras to a TensorFlow SavedModel."""

from pathlib import Path
from typing import Any

from viewfinder.conversion.terminal import quiet
from viewfinder.errors import MissingExtraError


def to_saved_model(model: Any, folder: Path) -> None:
    """Write a classifier as a SavedModel whose `serving_default` takes `image`, gives `logits`.

    Keras' own export writes every weight twice, which doubles the file.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.
            The length of a batch is the model's: open, because a GPU wants many images at once
            and a CPU one, or fixed.
        folder: Where to; `saved_model.pb` and `variables/` come into it.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("Converting a Keras model", "train") from error

    def answer(image: Any) -> dict[str, Any]:
        # What a normalisation has computed of its weights would be saved as an object of its own,
        # which the engine refuses; here it becomes a part of the graph.
        _finalise(model)
        return {"logits": model(image, training=False)}

    image = tf.TensorSpec(model.input_shape, tf.uint8, name="image")
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    with quiet():
        try:
            signature = tf.function(answer, input_signature=[image]).get_concrete_function()
        finally:
            _finalise(model)  # as numbers again
        tf.saved_model.save(module, str(folder), signatures=signature)


def _finalise(model: Any) -> None:
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
