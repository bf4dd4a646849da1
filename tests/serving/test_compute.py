"""What the threads do with one photo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.serving.compute import Scores
from viewfinder.shared.options import MOST_CLASSES


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]), min_size=1, max_size=140))
def test_the_best_are_those_that_sorting_everything_gives(values: list[float]) -> None:
    confidence = np.array(values, np.float32)
    order = np.argsort(-confidence, kind="stable")[:MOST_CLASSES]
    best = Scores.best(confidence)
    assert best.indices.tolist() == order.tolist()
    assert best.confidence.tolist() == confidence[order].tolist()


def test_scores_come_back_from_bytes() -> None:
    best = Scores.best(np.array([0.1, 0.7, 0.2], np.float32))
    again = Scores.from_bytes(best.to_bytes(), 3)
    assert again.indices.tolist() == [1, 2, 0]
    assert again.confidence.tolist() == best.confidence.tolist()


@given(st.binary(max_size=64), st.integers(1, 8))
def test_bytes_that_no_model_gives_are_refused_or_make_an_answer(data: bytes, classes: int) -> None:
    try:
        scores = Scores.from_bytes(data, classes)
    except ValueError:
        return
    assert sorted(scores.indices.tolist()) == list(range(classes))
    assert scores.confidence.tolist() == sorted(scores.confidence.tolist(), reverse=True)


@pytest.mark.parametrize(
    ("indices", "confidence"),
    [
        ([1, 0], [0.7]),
        ([1], [0.7, 0.3]),
        ([2, 0], [0.7, 0.3]),
        ([-1, 0], [0.7, 0.3]),
        ([0, 0], [0.7, 0.3]),
        ([0, 1], [0.3, 0.7]),
        ([0, 1], [1.7, 0.3]),
        ([0, 1], [0.7, -0.3]),
        ([0, 1], [float("nan"), 0.3]),
        ([0, 1], [0.7, float("nan")]),
        ([], []),
    ],
)
def test_scores_of_another_model_are_refused(indices: list[int], confidence: list[float]) -> None:
    data = np.array(indices, np.int32).tobytes() + np.array(confidence, np.float32).tobytes()
    with pytest.raises(ValueError, match=r"."):
        Scores.from_bytes(data, 2)
