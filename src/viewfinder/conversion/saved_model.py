"""Keras to a TensorFlow SavedModel."""

from pathlib import Path
from typing import Any

from viewfinder.conversion.constants import as_numbers
from viewfinder.conversion.terminal import quiet
from viewfinder.errors import MissingExtraError


def to_saved_model(model: Any, folder: Path) -> None:
    """Write a classifier as a SavedModel whose `serving_default` takes `image`, gives `logits`.

    The outputs of a model that names them are called as it does.

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

    image = tf.TensorSpec(model.input_shape, tf.uint8, name="image")
    as_numbers(model)

    def named(image: Any) -> Any:
        answer = model(image, training=False)
        return answer if isinstance(answer, dict) else {"logits": answer}

    serve = tf.function(named, input_signature=[image])
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    with quiet():
        tf.saved_model.save(module, str(folder), signatures=serve.get_concrete_function())
