"""Graphs that are tried, timed and chosen among, each in the engine that serves it."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.quantization import to_float16
from viewfinder.datasets.photos import Photo
from viewfinder.errors import BundleError, TrainingStoppedError
from viewfinder.evaluation.scoring import reference_of
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.pipelines.variants.graphs import DYNAMIC, FLOAT16, FLOAT32, INT8, Graph, one_file
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.sealing import Sealed, seal
from viewfinder.registry.manifest import Calibration
from viewfinder.settings import Limits
from viewfinder.training.progress import Attentive, Logged, Phase

pytestmark = pytest.mark.train

SIDE = 16
SPEC = PreprocessSpec(width=SIDE, height=SIDE, crop_fraction=1.0)
LABELS = ("red", "green", "blue")


def _graph(weights: Any) -> bytes:
    """Logits that are the mean of each colour, mixed by `weights`, float32 `[3, 3]`."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    means = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(image, "float32") / 255.0)
    dense = keras.layers.Dense(3, use_bias=False)
    model = keras.Model(image, dense(means))
    dense.set_weights([np.asarray(weights, np.float32)])
    return to_litert(model)


@pytest.fixture(scope="module")
def float32() -> bytes:
    return _graph(8 * np.eye(3))


@pytest.fixture
def judges(tmp_path: Path) -> Judges:
    chance = np.random.default_rng(1)
    photos: dict[str, list[Photo]] = {"validation": [], "test": []}
    for split, found in photos.items():
        for number in range(18):
            label = LABELS[number % 3]
            pixels = chance.integers(0, 120, (SIDE, SIDE, 3)).astype(np.uint8)
            pixels[..., number % 3] += 100
            path = tmp_path / split / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            path.write_bytes(file.getvalue())
            found.append(Photo(path, label))
    return Judges(
        validation=tuple(photos["validation"]),
        test=tuple(photos["test"]),
        labels=LABELS,
        limits=Limits(),
        threads=2,
        root=tmp_path,
        seed=0,
    )


class Told(Logged):
    """Remembers the phases."""

    def __init__(self) -> None:
        self.phases: list[tuple[Phase, int]] = []

    def phase(self, name: Phase, total: int) -> None:
        self.phases.append((name, total))


def _seal(judges: Judges, *graphs: Graph, **options: Any) -> Sealed:
    return seal(graphs, judges, listener=Logged(), **options)


def test_what_turns_colours_around_is_measured_and_not_chosen(
    float32: bytes, judges: Judges
) -> None:
    wrong = _graph(8 * np.roll(np.eye(3), 1, axis=0))
    sealed = _seal(judges, one_file(FLOAT32, float32, SPEC), one_file(INT8, wrong, SPEC))
    good, bad = sealed.ladder.rows
    assert (good.accuracy, bad.accuracy) == (1.0, 0.0)
    assert (good.agreement, bad.agreement) == (1.0, 0.0)
    assert good.difference is None
    assert bad.difference is not None
    assert bad.difference.points.value == -1.0
    assert bad.difference.p_value < 0.001
    assert sealed.recommended.name == FLOAT32
    assert sealed.splits["test"].accuracy.value == 1.0


def test_each_has_a_temperature_and_golden_answers_of_its_own(
    float32: bytes, judges: Judges
) -> None:
    meek = _graph(np.eye(3))
    sealed = _seal(judges, one_file(FLOAT32, float32, SPEC), one_file(FLOAT16, meek, SPEC))
    loud, quiet = sealed.variants
    assert quiet.calibration.temperature < loud.calibration.temperature / 2
    for variant in sealed.variants:
        assert len(variant.golden.samples) == 3
        assert variant.latency is not None
        assert {sample.top[0].index for sample in variant.golden.samples} == {0, 1, 2}


def test_each_keeps_what_it_said_of_the_validation_photos(float32: bytes, judges: Judges) -> None:
    wrong = _graph(2 * np.roll(np.eye(3), 1, axis=0))
    seen = replace(judges, validation=judges.validation[:17])  # one blue photo less
    sealed = _seal(seen, one_file(FLOAT32, float32, SPEC), one_file(FLOAT16, wrong, SPEC))
    good, bad = (variant.reference for variant in sealed.variants)
    assert good is not None
    assert bad is not None
    assert (good.photos, bad.photos) == (17, 17)
    assert good.classes == {0: 6, 1: 6, 2: 5}
    assert sorted(bad.classes.values()) == [5, 6, 6]
    assert bad.classes != good.classes
    assert bad.confidence != good.confidence
    assert bad.brightness == good.brightness
    scored, temperature = sealed.reference["validation"], sealed.variants[0].calibration.temperature
    assert temperature != 1
    assert good == reference_of(scored, output="logits", temperature=temperature)


def test_without_photos_there_is_nothing_to_compare_with(float32: bytes, judges: Judges) -> None:
    sealed = _seal(replace(judges, validation=()), one_file(FLOAT32, float32, SPEC))
    assert sealed.variants[0].reference is None


def test_what_no_engine_can_run_is_left_out_and_named(float32: bytes, judges: Judges) -> None:
    damaged = float32[: len(float32) // 2]
    sealed = _seal(judges, one_file(FLOAT32, float32, SPEC), one_file(INT8, damaged, SPEC))
    assert [row.name for row in sealed.ladder.rows] == [FLOAT32]
    (left_out,) = sealed.ladder.left_out
    assert left_out.name == INT8
    assert left_out.why
    assert "model.int8.tflite" not in sealed.contents


def test_what_gives_no_numbers_is_left_out(float32: bytes, judges: Judges) -> None:
    broken = _graph(np.full((3, 3), np.nan))
    sealed = _seal(judges, one_file(FLOAT32, float32, SPEC), one_file(DYNAMIC, broken, SPEC))
    assert [one.name for one in sealed.ladder.left_out] == [DYNAMIC]
    (left_out,) = sealed.ladder.left_out
    assert "no finite numbers" in left_out.why
    assert str(judges.root) not in left_out.why  # it is published


def test_who_asks_for_an_end_leaves_no_graph_out(float32: bytes, judges: Judges) -> None:
    graphs = (one_file(FLOAT32, float32, SPEC), one_file(FLOAT16, to_float16(float32), SPEC))
    told = Told()
    done = 0

    def should_stop() -> bool:
        nonlocal done
        done += 1
        return done > 1 + len(judges.validation)  # the phase, and all photos of the first graph

    with pytest.raises(TrainingStoppedError):
        seal(graphs, judges, listener=Attentive(told, should_stop))
    assert done == 2 + len(judges.validation)
    assert told.phases == [("evaluating", 2 * len(judges.validation))]


def test_without_the_reference_there_is_nothing(float32: bytes, judges: Judges) -> None:
    with pytest.raises(BundleError):
        _seal(judges, one_file(FLOAT32, float32[:100], SPEC), one_file(INT8, float32, SPEC))


def test_without_the_photos_labels_agreement_counts(float32: bytes, judges: Judges) -> None:
    small, known = to_float16(float32), Calibration(temperature=0.6, abstain_below=0.5)
    sealed = _seal(
        replace(judges, labelled=False, labels=("a", "b", "c"), calibration=known),
        one_file(FLOAT32, float32, SPEC),
        one_file(FLOAT16, small, SPEC),
    )
    assert sealed.ladder.basis == "agreement"
    assert [row.agreement for row in sealed.ladder.rows] == [1.0, 1.0]
    assert [row.accuracy for row in sealed.ladder.rows] == [None, None]
    assert not sealed.splits
    assert [variant.calibration for variant in sealed.variants] == [known, known]


def test_without_photos_nothing_else_than_the_reference_is_chosen(
    float32: bytes, judges: Judges
) -> None:
    sealed = _seal(
        replace(judges, validation=()),
        one_file(FLOAT32, float32, SPEC),
        one_file(FLOAT16, to_float16(float32), SPEC),
        max_drop=1.0,
    )
    assert sealed.ladder.basis == "nothing"
    assert sealed.recommended.name == FLOAT32
    assert set(sealed.splits) == {"test"}


def test_the_contents_are_what_the_variants_name(float32: bytes, judges: Judges) -> None:
    sealed = _seal(judges, one_file(FLOAT32, float32, SPEC))
    named = {v.file.path for v in sealed.variants} | {
        sample.file.path for v in sealed.variants for sample in v.golden.samples
    }
    assert set(sealed.contents) == named
