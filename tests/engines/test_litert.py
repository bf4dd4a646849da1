"""What only LiteRT has: a second output, which is a feature map."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.errors import BundleError

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def _engine(path: Path, *, scores: int, maps: int) -> LiteRTEngine:
    """Of a graph with so many outputs of each kind, the first of each being the picture's own."""
    import tensorflow as tf

    def outputs(image: Any) -> dict[str, Any]:
        values = tf.cast(image, tf.float32)
        found = {f"map{n}": tf.nn.avg_pool2d(values, 2, 2, "VALID") + n for n in range(maps)}
        means = tf.reduce_mean(values, [1, 2])
        return found | {f"scores{n}": means + n for n in range(scores)}

    image = tf.TensorSpec((1, 4, 4, 3), tf.uint8)
    graph = tf.function(outputs, input_signature=[image]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    path.write_bytes(converter.convert())
    return LiteRTEngine(path, EngineOptions(threads=1))


def test_a_graph_may_give_a_feature_map_beside_its_scores(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    alone = _engine(tmp_path / "alone.tflite", scores=1, maps=0)
    both = _engine(tmp_path / "both.tflite", scores=1, maps=1)
    assert alone.feature_shape is None
    assert both.feature_shape == (2, 2, 3)
    assert both.predict(pixels).tolist() == alone.predict(pixels).tolist() == [[22.5, 23.5, 24.5]]
    assert both.features(pixels).mean(axis=(1, 2)).tolist() == [[22.5, 23.5, 24.5]]


@pytest.mark.parametrize(("scores", "maps"), [(2, 0), (2, 1), (1, 2), (0, 2)])
def test_other_outputs_are_refused(tmp_path: Path, scores: int, maps: int) -> None:
    with pytest.raises(BundleError, match="one output of scores, and may have one feature map"):
        _engine(tmp_path / "x.tflite", scores=scores, maps=maps)
