"""Keras to a SavedModel that the engine takes."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

from tests.modeling.graphs import random_classifier, random_pixels, small

from viewfinder.conversion.saved_model import to_saved_model

pytestmark = [
    pytest.mark.train,
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_a_model_that_normalises_its_pixels_is_served_as_it_is(tmp_path: Path) -> None:
    from viewfinder.engines.base import EngineOptions
    from viewfinder.engines.tensorflow import load

    model = random_classifier(small("efficientnet-b0"))
    pixels = random_pixels()
    expected = model(pixels, training=False).numpy()
    to_saved_model(model, tmp_path)
    engine = load(tmp_path / "saved_model.pb", EngineOptions(threads=1))
    assert np.allclose(engine.predict(pixels), expected, atol=1e-4)
    # The model goes on as it was.
    assert np.allclose(model(pixels, training=False).numpy(), expected, atol=1e-5)
