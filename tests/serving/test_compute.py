"""What the threads do with one photo."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.serving.compute import MOST_CLASSES, Scores


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]), min_size=1, max_size=140))
def test_the_best_are_those_that_sorting_everything_gives(values: list[float]) -> None:
    confidence = np.array(values, np.float32)
    order = np.argsort(-confidence, kind="stable")[:MOST_CLASSES]
    best = Scores.best(confidence)
    assert best.indices.tolist() == order.tolist()
    assert best.confidence.tolist() == confidence[order].tolist()


def test_scores_come_back_from_bytes() -> None:
    best = Scores.best(np.array([0.1, 0.7, 0.2], np.float32))
    again = Scores.from_bytes(best.to_bytes())
    assert again.indices.tolist() == [1, 2, 0]
    assert again.confidence.tolist() == best.confidence.tolist()
