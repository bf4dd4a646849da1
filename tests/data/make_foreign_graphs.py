"""Makes the small foreign graphs beside this file: python tests/data/make_foreign_graphs.py.

They look at the mean colour and answer red, green or blue: the way TensorFlow's own converter
writes a quantised graph (uint8 in and out), and a float graph that wants pixels from -1 to 1.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
_SIDE = 16


def main() -> None:
    """Write both graphs."""
    image = keras.Input((_SIDE, _SIDE, 3), batch_size=1)
    colour = keras.layers.GlobalAveragePooling2D()(image)
    logits = keras.layers.Dense(3, use_bias=False, name="colours")(colour)
    model = keras.Model(image, keras.layers.Softmax()(logits))
    model.get_layer("colours").set_weights([np.eye(3, dtype=np.float32) * 4])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (HERE / "foreign-float.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _photos
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    (HERE / "foreign-uint8.tflite").write_bytes(converter.convert())


def _photos() -> Iterator[list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]]:
    for colour in np.eye(3, dtype=np.float32) * 2 - 1:
        yield [np.broadcast_to(colour, (1, _SIDE, _SIDE, 3)).astype(np.float32)]


if __name__ == "__main__":
    main()
