"""How much each photo counts."""

import numpy as np
import pytest

from viewfinder.training.weights import class_weights


def test_classes_of_about_the_same_size_count_alike() -> None:
    targets = np.repeat([0, 1, 2], [10, 12, 18])
    assert class_weights(targets, 3).tolist() == [1, 1, 1]


def test_a_photo_of_a_rare_class_counts_more_but_not_in_full() -> None:
    targets = np.repeat([0, 1], [100, 25])
    common, rare = class_weights(targets, 2)
    assert rare / common == pytest.approx(2)


def test_no_photo_counts_more_than_four_times_another() -> None:
    weights = class_weights(np.repeat([0, 1], [100_000, 1]), 2)
    assert weights[1] / weights[0] == pytest.approx(4)


def test_the_photos_weigh_one_on_average() -> None:
    targets = np.repeat([0, 1, 2], [100, 25, 3])
    assert class_weights(targets, 3)[targets].mean() == pytest.approx(1)
