"""Distillation: a student comes to say what its teacher says."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training import small
from viewfinder.errors import InvalidParameterError, TrainingStoppedError, WeightsError
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.training.examples import MARGIN, Examples
from viewfinder.training.run import RunFolder
from viewfinder.training.schedule import plan

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

LARGER = 24
"""The side of the teacher's input; the student's is `small.SIDE`."""


def photos(count: int, seed: int) -> Examples:
    """As `small.photos`, of the teacher's size."""
    examples = small.photos(count, seed)
    side = LARGER + MARGIN
    larger = np.random.default_rng(seed).integers(0, 180, (count, side, side, 3), np.uint8)
    for photo, target in zip(larger, examples.targets, strict=True):
        photo[:, :, target] += 40
    return replace(examples, pixels=larger)


TRAIN, VALIDATION = photos(96, 1), photos(60, 2)
NOISY = replace(TRAIN, targets=np.random.default_rng(0).integers(0, small.CLASSES, 96))
NOTHING = Examples(VALIDATION.pixels, np.zeros(0, np.int64), np.zeros(0, np.int64))
PLAN = plan(96, 12)


class Teacher:
    """Knows: a class is the colour that is stronger. Writes down what it is shown."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.shown.append(pixels)
        colours = pixels.mean(axis=(1, 2), dtype=np.float32)
        logits: NDArray[np.float32] = (colours - colours.mean(axis=1, keepdims=True)) / 8
        return logits


def pupil() -> Any:
    """uint8 `[N, 16, 16, 3]` to logits, of layers that learn quickly."""
    import keras

    image = keras.Input((small.SIDE, small.SIDE, 3), dtype="uint8", name="image")
    x = (keras.ops.cast(image, "float32") - 100) / 20
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(8, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.1, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(small.CLASSES, name="logits")(x))


def tuning(
    folder: Path,
    method: Any,
    *,
    train: Examples = NOISY,
    should_stop: Callable[[], bool] = lambda: False,
    listener: small.Notes | None = None,
) -> tuple[Any, Any]:
    """A student, the same each time, and what fine-tunes it."""
    from viewfinder.optimization.distill import Resized
    from viewfinder.training import devices
    from viewfinder.training.finetune import FineTuning
    from viewfinder.training.parts import Parts

    devices.prepare(7)
    student = pupil()
    folder.mkdir(exist_ok=True)
    return student, FineTuning(
        Parts(None, student),
        Resized.of(train, small.SIDE),
        Resized.of(NOTHING, small.SIDE),
        np.ones(small.CLASSES, np.float32),
        method=method,
        seed=7,
        run=RunFolder(folder),
        listener=listener or small.Notes(),
        should_stop=should_stop,
    )


def distilling(teacher: Teacher | None = None) -> Any:
    from viewfinder.optimization.distill import Distilling

    return Distilling(teacher or Teacher(), small.SIDE)


def agreement(student: Any) -> float:
    """The share of the validation photos that student and teacher see alike."""
    from viewfinder.optimization.distill import resized

    pixels = VALIDATION.centre(slice(None))
    says = student.predict(resized(pixels, small.SIDE), verbose=0)
    return float((says.argmax(axis=1) == Teacher()(pixels).argmax(axis=1)).mean())


@pytest.fixture(scope="module", autouse=True)
def _in_large_steps() -> Iterator[None]:
    """So small a model, which has learned nothing, gets there in a few of them."""
    from viewfinder.training import finetune

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(finetune, "LEARNING_RATE", 0.05)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    student, undisturbed = tuning(tmp_path_factory.mktemp("run"), distilling())
    undisturbed.train(PLAN, None, None)
    return student


def test_a_student_comes_to_agree_where_labels_alone_say_nothing(
    uninterrupted: Any, tmp_path: Path
) -> None:
    seen = Examples(  # for one that learns alone, photos have its own size
        NOISY.pixels[:, : small.SIDE + MARGIN, : small.SIDE + MARGIN], NOISY.rows, NOISY.targets
    )
    alone, undisturbed = tuning(tmp_path, None, train=seen)
    undisturbed.train(PLAN, None, None)
    assert agreement(uninterrupted) > 0.9
    assert agreement(alone) < 0.7


def test_the_student_stays_a_model_of_photos_to_logits(uninterrupted: Any) -> None:
    assert [tensor.name for tensor in uninterrupted.inputs] == ["image"]
    assert uninterrupted.inputs[0].dtype == "uint8"
    assert uninterrupted.output_shape == (None, small.CLASSES)
    assert uninterrupted.trainable


def test_the_teacher_looks_at_the_crop_that_the_student_sees_resized(tmp_path: Path) -> None:
    from viewfinder.optimization.distill import resized

    teacher = Teacher()
    _, tuned = tuning(tmp_path, distilling(teacher))
    shown, _, _ = next(tuned._dataset(0, 0, 1).as_numpy_iterator())
    (crops,) = teacher.shown
    assert crops.shape == (32, LARGER, LARGER, 3)
    np.testing.assert_array_equal(shown["seen"], resized(crops, small.SIDE))
    np.testing.assert_array_equal(shown["told"], Teacher()(crops))


def test_photos_are_antialiased_when_they_shrink() -> None:
    from viewfinder.optimization.distill import resized

    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 200
    assert abs(resized(stripes, 16)[:, 2:-2, 2:-2].astype(int) - 100).max() <= 12
    assert resized(stripes, 64) is stripes


@pytest.mark.parametrize("steps", [2, 30])
def test_a_run_that_was_stopped_ends_in_the_same_weights(
    uninterrupted: Any, tmp_path: Path, steps: int
) -> None:
    asked = iter(range(steps))
    _, stopped = tuning(tmp_path, distilling(), should_stop=lambda: next(asked, None) is None)
    with pytest.raises(TrainingStoppedError):
        stopped.train(PLAN, None, None)
    listener = small.Notes()
    student, going_on = tuning(tmp_path, distilling(), listener=listener)
    assert going_on.interrupted
    going_on.train(PLAN, None, None)
    assert listener.phases == [("distilling", 36)]
    assert {epoch.phase for epoch in listener.epochs} == {"distilling"}
    for one, other in zip(student.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that a test can afford: as published but for its size."""
    published = BACKBONES["efficientnet-lite0"]
    same = replace(published, input_size=32)
    monkeypatch.setitem(cast("dict[str, Backbone]", BACKBONES), "same", same)


def distill(folder: Path, student: str, weights: str, listener: small.Notes) -> Any:
    from viewfinder.optimization.distill import distill

    return distill(
        small.model(),
        student,
        small.photos(3, 1),
        small.photos(3, 2),
        weights=weights,
        epochs=1,
        seed=1,
        run=RunFolder(folder),
        listener=listener,
        should_stop=lambda: False,
        threads=2,
    )


@pytest.mark.usefixtures("tiny")
def test_a_preset_is_taught_from_its_own_weights(tmp_path: Path) -> None:
    listener = small.Notes()
    found = distill(tmp_path, "same", "imagenet", listener)
    assert [phase for phase, _ in listener.phases] == ["features", "head", "distilling"]
    assert found.history[-1].phase == "distilling"
    assert found.model.input_shape == (None, 32, 32, 3)
    assert found.model.output_shape == (None, small.CLASSES)


def test_weights_that_cannot_be_had_are_told_before_anything_is_done(tmp_path: Path) -> None:
    listener = small.Notes()
    with pytest.raises(WeightsError, match="does not exist"):
        distill(tmp_path, "efficientnet-lite0", str(tmp_path / "none.pth"), listener)
    assert listener.phases == []


def test_an_unknown_student_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="no backbone 'resnet7'"):
        distill(tmp_path, "resnet7", "none", small.Notes())
