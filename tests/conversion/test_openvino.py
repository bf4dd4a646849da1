"""Keras to OpenVINO."""

from pathlib import Path

import pytest

from viewfinder.conversion.openvino import to_openvino
from viewfinder.errors import ConversionError

pytestmark = [pytest.mark.train, pytest.mark.openvino]


def test_an_operation_that_openvino_lacks_is_named(tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 3), dtype="uint8")
    means = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(image, "float32") / 256.0)
    odd = keras.Model(image, keras.layers.Dense(2)(keras.ops.erfinv(means)))
    with pytest.raises(ConversionError, match="lacks the operation Erfinv"):
        to_openvino(odd, tmp_path / "model.xml")
