"""What was found, in plain words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import fake_bundle

from viewfinder.datasets.photos import Photo
from viewfinder.evaluation.document import Comparison, Evaluation, Part
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.evaluate import evaluate
from viewfinder.evaluation.report import verdict
from viewfinder.evaluation.scoring import Scored
from viewfinder.evaluation.significance import compare
from viewfinder.registry.manifest import Calibration, Variant

DASH = "\N{EN DASH}"


@pytest.fixture
def variant(store: Path) -> Variant:
    return fake_bundle(store).manifest.variant()


def _evaluation(
    variant: Variant, right: int, wrong: int, *, sure: float = 4.0, part: Part = "test", **more: Any
) -> Evaluation:
    """Answers of which so many are right, the wrong ones half as sure."""
    targets = [0] * (right + wrong)
    scores = np.zeros((right + wrong, 3), np.float32)
    scores[:right, 0] = sure
    scores[right:, 1] = sure / 4
    photos = tuple(Photo(Path(f"/p/{n}.jpg"), "abc"[target]) for n, target in enumerate(targets))
    found = evaluate(variant, "abc", Scored(photos, scores, ()), seed=0)
    return Evaluation(
        name="shoes",
        version=2,
        variant="only",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        data="photos",
        labels=3,
        splits={part: found},
        **more,
    )


@pytest.mark.parametrize(
    ("share", "photos", "text"),
    [
        (0.924, 372, "92%"),
        (0.9236, 5000, "92.4%"),
        (1.0, 10, "100%"),
        (0.9999, 10, ">99%"),
        (0.99999, 5000, ">99.9%"),
        (0.0, 10, "0%"),
        (0.0001, 10, "<1%"),
        (None, 10, "-"),
    ],
)
def test_only_what_is_whole_is_called_whole(share: float | None, photos: int, text: str) -> None:
    assert verdict.percent(share, photos) == text


def test_the_headline_says_how_often_it_is_right_and_of_what(variant: Variant) -> None:
    plain = verdict.headline(_evaluation(variant, 92, 8))
    assert plain == f"Right on 92% of 100 test photos (85{DASH}96%)"
    assert "photos it has never seen" in verdict.headline(_evaluation(variant, 92, 8, unseen=True))
    assert "100 photos (" in verdict.headline(_evaluation(variant, 92, 8, part="all"))
    assert "1 training photo (" in verdict.headline(_evaluation(variant, 1, 0, part="train"))


def test_it_says_what_is_confused_and_how_sure_it_is(variant: Variant) -> None:
    confused, sure, *_ = verdict.sentences(_evaluation(variant, 60, 40, sure=12))
    assert confused == "Most often confused: a taken for b (40 of 100 photos)."
    assert sure.startswith("It is surer than it should be")
    shy = verdict.sentences(_evaluation(variant, 99, 1, sure=1))[1]
    assert shy.startswith("It is less sure than it should be")
    assert "too few" in verdict.sentences(_evaluation(variant, 20, 5))[1]
    assert verdict.sentences(_evaluation(variant, 120, 0))[0] == "It made no mistake."


def test_it_says_what_is_not_answered(variant: Variant) -> None:
    could = verdict.sentences(_evaluation(variant, 92, 8))[-1]
    assert "It always answers" in could
    assert "silent on 8%" in could
    strict = variant.model_copy(update={"calibration": Calibration(abstain_below=0.8)})
    said = verdict.sentences(_evaluation(strict, 92, 8))[-1]
    assert said == 'It says "I don\'t know" on 8%, and is right on 100% of the rest.'


@pytest.mark.parametrize(
    ("only_first", "only_second", "words"),
    [
        (15, 22, "7 photos more are right than with shoes@2; the difference could be chance"),
        (0, 42, "42 photos more are right than with shoes@2; that is hardly chance (p < 0.001)."),
        (1, 0, "1 photo fewer is right than with shoes@2; the difference could be chance (p = 1)."),
        (3, 3, "As many photos are right as with shoes@2."),
    ],
)
def test_a_comparison_says_whether_it_could_be_chance(
    variant: Variant, only_first: int, only_second: int, words: str
) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True] * 40)
    second = np.array([False] * only_first + [True] * only_second + [True] * 40)
    comparison = Comparison.of(_evaluation(variant, 92, 8), compare(first, second, seed=0))
    assert words in verdict.compared(comparison, "shoes@2")


def test_two_variants_of_one_model_are_told_apart(variant: Variant) -> None:
    one = _evaluation(variant, 92, 8)
    other = one.model_copy(update={"variant": "int8"})
    assert verdict.told_apart(one, other) == (f"{one.model} {one.variant}", f"{one.model} int8")
    older = one.model_copy(update={"version": 1})
    assert verdict.told_apart(one, older) == (one.model, older.model)


def test_an_interval_has_one_percent_sign() -> None:
    assert verdict.within(Estimate(value=0.9, low=0.85, high=0.95)) == f"85{DASH}95%"
