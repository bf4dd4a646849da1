"""The same classifier in half precision."""

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

from tests.modeling.graphs import random_classifier, random_pixels, small

from viewfinder.modeling.precision import as_mixed_float16

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.mark.parametrize("name", ["mobilenet-v3-small", "efficientnet-b0"])
def test_half_precision_says_nearly_the_same(name: str) -> None:
    model = random_classifier(small(name))
    half = as_mixed_float16(model)
    inside = {layer.name: layer.compute_dtype for layer in half.layers}
    assert inside.pop("logits") == "float32"
    assert "float16" in inside.values()
    assert "float16" not in {weight.dtype for weight in half.weights}
    assert [layer.name for layer in half.layers] == [layer.name for layer in model.layers]
    pixels = random_pixels()
    expected = model(pixels, training=False).numpy()
    found = half(pixels, training=False).numpy()
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()
    assert not np.array_equal(found, expected)  # or nothing was computed in half precision


def test_the_copy_has_weights_of_its_own() -> None:
    model = random_classifier(small("mobilenet-v3-small"))
    half = as_mixed_float16(model)
    before = [weight.numpy() for weight in half.weights]
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    assert all(
        np.array_equal(weight.numpy(), kept)
        for weight, kept in zip(half.weights, before, strict=True)
    )
