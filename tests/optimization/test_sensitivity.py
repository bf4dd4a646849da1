"""Where int8 hurts, and a graph in which it does not."""

import pytest

from tests.conversion.small import agreement, classifier, layer_called, pictures, scores
from viewfinder.conversion.litert import check_contract, to_litert
from viewfinder.conversion.quantization import quantize_int8
from viewfinder.optimization.sensitivity import mixed_int8

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

ENOUGH = 0.9


@pytest.fixture(scope="module")
def spoiled() -> bytes:
    """A graph of which one channel drowns the others on their way through two layers."""

    return to_litert(classifier(outlier=True))


def test_the_layer_to_blame_is_found_and_kept_and_nothing_else(spoiled: bytes) -> None:
    photos = pictures(40)
    exact = scores(spoiled, photos)
    judged: list[float] = []
    steps: list[tuple[int, int]] = []

    def judge(graph: bytes) -> float:
        judged.append(agreement(scores(graph, photos), exact))
        return judged[-1]

    mixed = mixed_int8(
        spoiled,
        list(photos[:16]),
        judge=judge,
        enough=ENOUGH,
        progress=lambda done, of: steps.append((done, of)),
    )
    raised = layer_called(spoiled, "raised")
    assert judged[0] < 0.6
    assert mixed.kept == (raised,)
    assert mixed.score == judged[-1] >= ENOUGH
    assert len(judged) == 2
    assert steps[0][0] == 1
    assert steps[-1][0] == steps[-1][1] <= 6
    check_contract(mixed.graph)
    worst = mixed.layers[0]
    assert (worst.name, worst.kind) == (raised, "DEPTHWISE_CONV_2D")
    assert worst.error > 0.8
    assert worst.growth > 5 * mixed.layers[1].growth


def test_a_judge_who_is_never_content_gets_the_best_of_at_most_six(spoiled: bytes) -> None:
    answers = iter([0.1, 0.3, 0.5, 0.5, 0.2, 0.4, 0.4])
    mixed = mixed_int8(
        spoiled,
        list(pictures(2)),
        judge=lambda _: next(answers),
        enough=1.0,
        progress=lambda _done, _of: None,
    )
    assert mixed.score == 0.5
    assert len(mixed.kept) == 2
    assert len(list(answers)) >= 1


def test_int8_that_will_do_is_left_as_it_is(spoiled: bytes) -> None:
    photos = list(pictures(2))
    mixed = mixed_int8(
        spoiled, photos, judge=lambda _: 1.0, enough=1.0, progress=lambda _done, _of: None
    )
    assert mixed.kept == ()
    assert mixed.graph == quantize_int8(spoiled, photos)
