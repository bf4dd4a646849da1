"""Weights that leave a model and come into another of the same architecture."""

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

from tests.modeling.graphs import random_classifier, random_pixels, small

from viewfinder.modeling.classifier import build_classifier
from viewfinder.modeling.saving import pack_weights, unpack_weights

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_a_model_that_normalises_its_pixels_answers_as_the_one_that_was_saved() -> None:
    model = random_classifier(small("efficientnet-b0"))
    again = build_classifier(small("efficientnet-b0"), model.output_shape[-1])
    unpack_weights(again, pack_weights(model))
    pixels = random_pixels()
    expected = model(pixels, training=False).numpy()
    assert np.allclose(again(pixels, training=False).numpy(), expected, atol=1e-5)
