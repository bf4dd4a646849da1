"""Where a class is seen, by the feature map and the weights of the head."""

import numpy as np
import pytest

from viewfinder.serving.heatmaps.activation import class_activation

MAP = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
HEAD = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)


@pytest.mark.parametrize("index", [0, 5])
def test_places_add_up_to_what_the_logit_is_above_the_average(index: int) -> None:
    logits = MAP.mean(axis=(0, 1)) @ HEAD
    activation = class_activation(MAP, HEAD, index)
    assert activation.shape == (3, 4)
    assert activation.mean() == pytest.approx(logits[index] - logits.mean(), abs=1e-5)


def test_what_speaks_for_all_classes_alike_says_nothing() -> None:
    shifted = HEAD + np.arange(5, dtype=np.float32)[:, np.newaxis]
    assert class_activation(MAP, shifted, 2) == pytest.approx(
        class_activation(MAP, HEAD, 2), abs=1e-5
    )


def test_the_place_with_the_features_of_the_class_is_the_most() -> None:
    features = np.zeros((2, 3, 2), np.float32)
    features[1, 2] = (0, 1)
    features[0, 0] = (1, 0)
    activation = class_activation(features, np.eye(2, dtype=np.float32), 1)
    assert activation.argmax() == 5
    assert activation[0, 0] < 0
