"""Everything that is found out, on photos whose answers are known."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from viewfinder.datasets.photos import Photo, Skipped
from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import DatasetError
from viewfinder.evaluation.document import Evaluation, SplitEvaluation
from viewfinder.evaluation.evaluate import evaluate
from viewfinder.evaluation.scoring import Scored, score
from viewfinder.registry.manifest import Calibration
from viewfinder.settings import Limits

LABELS = tuple(f"step-{step}" for step in range(4))


def _found(loaded: LoadedVariant, photos: list[Photo]) -> SplitEvaluation:
    scored = score(loaded, photos, limits=Limits(), threads=1, progress=lambda *_: None)
    return evaluate(loaded.variant, LABELS, scored, seed=0)


def test_a_mistake_shows_everywhere(loaded: LoadedVariant, photos: list[Photo]) -> None:
    found = _found(loaded, photos)
    assert found.photos == 12
    assert found.accuracy.value == pytest.approx(11 / 12)
    assert found.accuracy.low < 11 / 12 < found.accuracy.high
    assert found.top_k == 4
    assert found.top5_accuracy.value == 1.0
    assert found.confusion == ((2, 1, 0, 0), (0, 3, 0, 0), (0, 0, 3, 0), (0, 0, 0, 3))
    first, second, *_ = found.classes
    assert first.recall is not None
    assert (first.label, first.support) == ("step-0", 3)
    assert first.recall.value == pytest.approx(2 / 3)
    assert (second.precision, second.answered) == (0.75, 4)
    (pair,) = found.confused
    assert (pair.label, pair.answer, pair.photos) == ("step-0", "step-1", 1)
    assert pair.share == pytest.approx(1 / 3)
    (mistake,) = found.worst
    assert (mistake.path, mistake.answer) == ("step-0/0.png", "step-1")
    assert mistake.confidence > 0.99
    assert mistake.confidence_in_label < 0.01
    assert found.suggested_abstain is None


def test_the_surest_mistakes_are_the_worst_and_there_are_two_dozen_of_them(
    loaded: LoadedVariant,
) -> None:
    random = np.random.default_rng(0)
    photos = tuple(Photo(Path(f"/photos/{n}.jpg"), LABELS[0]) for n in range(60))
    scores = random.normal(0, 1, (60, 4)).astype(np.float32)
    scores[:, 0] = -9
    found = evaluate(loaded.variant, LABELS, Scored(photos, scores, ()), seed=0)
    sure = [one.confidence for one in found.worst]
    assert len(sure) == 24
    assert sure == sorted(sure, reverse=True)
    assert found.accuracy.value == 0
    assert found.macro_f1.value == 0


def test_the_variants_calibration_is_applied(loaded: LoadedVariant, photos: list[Photo]) -> None:
    variant = loaded.variant.model_copy(
        update={"calibration": Calibration(temperature=4.0, abstain_below=0.5)}
    )
    scored = score(loaded, photos, limits=Limits(), threads=1, progress=lambda *_: None)
    scores = scored.scores.copy()
    scores[4:6] /= 10  # two right answers that are not sure
    found = evaluate(variant, LABELS, Scored(scored.photos, scores, ()), seed=0)
    assert found.temperature == 4.0
    assert found.mean_confidence < 0.8
    assert found.ece != found.ece_uncalibrated
    assert found.bins != found.bins_uncalibrated
    assert found.coverage == pytest.approx(10 / 12)
    assert found.accuracy_answered is not None
    assert found.accuracy_answered.value == pytest.approx(9 / 10)
    assert found.summary() == {
        "photos": 12,
        "accuracy": found.accuracy.value,
        "accuracy_low": found.accuracy.low,
        "accuracy_high": found.accuracy.high,
        "top5_accuracy": 1.0,
        "macro_f1": found.macro_f1.value,
        "ece": found.ece,
        "ece_uncalibrated": found.ece_uncalibrated,
        "nll": found.nll.value,
        "abstain_below": 0.5,
        "coverage": found.coverage,
        "accuracy_answered": found.accuracy_answered.value,
    }


def test_classes_that_never_occur_are_left_out(loaded: LoadedVariant, photos: list[Photo]) -> None:
    found = _found(loaded, [one for one in photos if one.label in {"step-0", "step-3"}])
    assert [one.label for one in found.classes] == ["step-0", "step-1", "step-3"]
    assert found.classes[1].recall is None
    assert found.confusion == ((2, 1, 0), (0, 0, 0), (0, 0, 3))
    assert found.macro_f1.value == pytest.approx((0.8 + 1) / 2)


def test_it_is_json_and_back(loaded: LoadedVariant, photos: list[Photo]) -> None:
    odd = Photo(photos[0].path.parent / "\udcff.png", "step-0")
    scored = score(loaded, photos, limits=Limits(), threads=1, progress=lambda *_: None)
    scored = Scored(scored.photos, scored.scores, (Skipped(odd, "No photo."),))
    found = evaluate(loaded.variant, LABELS, scored, seed=0)
    assert found.skipped[0].path == "step-0/\\udcff.png"
    whole = Evaluation(
        name="fake",
        version=1,
        variant="only",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        data="photos",
        labels=4,
        splits={"validation": found, "train": found, "test": found},
    )
    assert whole.main == "test"
    text = whole.model_dump_json()
    assert "NaN" not in text
    assert Evaluation.model_validate_json(text) == whole
    assert json.loads(text)["splits"]["train"]["photos"] == 12


def test_labels_that_the_model_lacks_are_refused(
    loaded: LoadedVariant, photos: list[Photo]
) -> None:
    scored = score(loaded, photos, limits=Limits(), threads=1, progress=lambda *_: None)
    with pytest.raises(DatasetError, match="step-3"):
        evaluate(loaded.variant, LABELS[:3], scored, seed=0)
    with pytest.raises(DatasetError, match="no photos"):
        evaluate(loaded.variant, LABELS, Scored((), scored.scores[:0], ()), seed=0)
