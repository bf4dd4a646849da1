"""What training is made of: the frozen part, the head, the changes to photos, the curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import PHOTOS
from tests.training import small
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits
from viewfinder.training.progress import Epoch

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def photo(side: int) -> Any:
    spec = PreprocessSpec(width=side, height=side)
    return preprocess((PHOTOS / "espresso.jpg").read_bytes(), spec, Limits())[np.newaxis]


def test_the_frozen_part_is_what_keras_says() -> None:
    import keras

    from viewfinder.training.frozen import FrozenOnCpu, FrozenOnGpu, in_chunks

    model = small.model()
    lower = keras.Model(model.input, model.get_layer("lower").output)
    examples = small.photos(70, 3)
    told: list[int] = []
    by_litert = in_chunks(FrozenOnCpu(lower, 2), examples.centre, len(examples), told.append)
    by_keras = FrozenOnGpu(lower)(examples.centre(slice(None)))
    np.testing.assert_allclose(by_litert, by_keras, atol=1e-4)
    assert told == [64, 70]


def test_a_head_learns_what_features_tell_and_keeps_its_best() -> None:
    import keras

    from viewfinder.training.head import train_head
    from viewfinder.training.scores import validate

    chance = np.random.default_rng(0)
    targets = np.arange(300) % 3
    features = chance.normal(size=(300, 20)).astype(np.float32)
    features[np.arange(300), targets] += 3
    keras.utils.set_random_seed(0)
    entry = keras.Input((20,))
    head = keras.Model(entry, keras.layers.Dense(3)(entry))
    heard: list[Epoch] = []
    found = train_head(
        head,
        features[:200],
        targets[:200],
        np.ones(3, np.float32),
        (features[200:], targets[200:]),
        epochs=100,
        tell=heard.append,
    )
    assert found is not None
    assert found.accuracy > 0.85
    assert found.loss == min(epoch.validation_loss or np.inf for epoch in heard)
    assert validate(np.asarray(head(features[200:])), targets[200:]) == found


def test_the_same_seeds_change_photos_alike_and_others_otherwise() -> None:
    from viewfinder.training.augment import augment

    pixels = np.repeat(photo(96), 3, axis=0)
    changed = augment(pixels, 64, [(1, 2), (1, 2), (1, 3)])
    assert changed.shape == (3, 64, 64, 3)
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed[0], changed[1])
    assert not np.array_equal(changed[0], changed[2])


def test_half_of_the_photos_are_mirrored_and_none_is_upside_down() -> None:
    from viewfinder.training.augment import augment

    # Dark on the left, bright on the right; red above, blue below.
    pixels = np.zeros((200, 96, 96, 3), np.uint8)
    pixels[:, :, 48:, 1] = 200
    pixels[:, :48, :, 0] = 200
    changed = augment(pixels, 64, [(n,) for n in range(200)]).astype(float)
    right_is_brighter = changed[:, :, 32:, 1].mean((1, 2)) > changed[:, :, :32, 1].mean((1, 2))
    top_is_redder = changed[:, :32, :, 0].mean((1, 2)) > changed[:, 32:, :, 0].mean((1, 2))
    assert 70 < right_is_brighter.sum() < 130
    assert top_is_redder.all()


def test_a_changed_photo_still_shows_most_of_the_photo() -> None:
    """The centre of the photo stays within the middle half, and brightness within a few tenths."""
    from viewfinder.training.augment import augment

    pixels = np.zeros((100, 96, 96, 3), np.uint8)
    pixels[:, 42:54, 42:54] = 120
    changed = augment(pixels, 64, [(n,) for n in range(100)]).astype(float)
    places = np.arange(64)
    mass = changed.sum(axis=(1, 2, 3))
    for axis in (1, 2):
        others = tuple({1, 2, 3} - {axis})
        centre = (changed.sum(axis=others) * places).sum(axis=1) / mass
        assert (abs(centre - 31.5) < 16).all()
    assert 80 < changed.max() <= 180


def test_curves_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from viewfinder.training.logs import TensorBoardLog

    listener = small.Notes()
    with TensorBoardLog(tmp_path, listener) as log:
        for number in (1, 2):
            log.epoch(Epoch("fine-tuning", number, 1 / number, 0.5, None, 0.75, 0.01))
    read = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    assert set(read.Tags()["tensors"]) == {
        "fine-tuning/loss",
        "fine-tuning/accuracy",
        "fine-tuning/validation_accuracy",
        "fine-tuning/learning_rate",
    }
    steps = [event.step for event in read.Tensors("fine-tuning/loss")]
    assert steps == [1, 2]
    assert [epoch.number for epoch in listener.epochs] == [1, 2]
