"""Pruning: most weights become zero and stay so, and a run that was stopped goes on exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training import small
from viewfinder.errors import InvalidParameterError, TrainingStoppedError
from viewfinder.training.examples import Examples
from viewfinder.training.run import RunFolder

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

TRAIN, VALIDATION = small.photos(100, 1), small.photos(40, 2)
EPOCHS, STEPS = 5, 20


def model() -> Any:
    """One that can be cut, with each kind of layer; untrained, the same each time."""
    import keras

    from viewfinder.training import devices

    devices.prepare(3)
    image = keras.Input((small.SIDE, small.SIDE, 3), dtype="uint8", name="image")
    x = keras.ops.cast(image, "float32") / 255
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="stem_conv")(x)
    x = keras.layers.BatchNormalization(name="stem_norm")(x)
    x = keras.layers.Conv2D(24, 1, name="expand_conv")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise_conv")(x)
    x = keras.layers.Conv2D(16, 1, activation="relu", name="project_conv")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(small.CLASSES, name="logits")(x))


def run(
    folder: Path,
    *,
    sparsity: float = 0.7,
    epochs: int = EPOCHS,
    validation: Examples = VALIDATION,
    should_stop: Callable[[], bool] = lambda: False,
    listener: small.Notes | None = None,
    original: Any = None,
) -> Any:
    from viewfinder.optimization.prune import prune

    folder.mkdir(exist_ok=True)
    return prune(
        original or model(),
        TRAIN,
        validation,
        sparsity=sparsity,
        epochs=epochs,
        seed=5,
        run=RunFolder(folder),
        listener=listener or small.Notes(),
        should_stop=should_stop,
        threads=2,
    )


def kernel(of: Any, layer: str) -> Any:
    return of.get_layer(layer).get_weights()[0]


PRUNED = ("expand_conv", "project_conv", "hidden")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("run"))


def test_the_sparsity_rises_quickly_at_first_and_is_there_at_seven_tenths() -> None:
    from viewfinder.optimization.prune import sparsity_after

    assert sparsity_after(0, 100, 0.8) == 0
    assert sparsity_after(35, 100, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert [sparsity_after(done, 100, 0.8) for done in (70, 71, 100)] == [0.8] * 3


def test_most_weights_are_zero_and_the_layers_that_cost_the_most_are_left(
    uninterrupted: Any,
) -> None:
    pruned = uninterrupted.model
    kernels = np.concatenate([kernel(pruned, layer).ravel() for layer in PRUNED])
    assert (kernels == 0).mean() == pytest.approx(0.7, abs=1 / len(kernels))
    for layer in ("stem_conv", "depthwise_conv", "logits"):
        assert kernel(pruned, layer).all()
    every = np.concatenate([array.ravel() for array in pruned.get_weights()])
    assert uninterrupted.sparsity == pytest.approx((every == 0).mean())


def test_the_model_that_is_given_stays_as_it_is(tmp_path: Path) -> None:
    original = model()
    before = original.get_weights()
    changed = run(tmp_path, original=original, epochs=1).model
    for one, other in zip(original.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert original.get_layer("stem_norm").trainable
    assert not np.array_equal(kernel(changed, "logits"), kernel(original, "logits"))


def test_it_is_told_as_pruning(tmp_path: Path) -> None:
    listener = small.Notes()
    history = run(tmp_path, listener=listener, epochs=2).history
    assert listener.phases == [("pruning", 8)]
    assert [epoch.phase for epoch in history] == ["pruning"] * 2


@pytest.mark.parametrize("steps", [3, 9, 17])
def test_a_run_that_was_stopped_ends_in_the_same_weights(
    uninterrupted: Any, tmp_path: Path, steps: int
) -> None:
    asked = iter(range(steps))
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, should_stop=lambda: next(asked, None) is None)
    going_on = run(tmp_path)
    for one, other in zip(
        going_on.model.get_weights(), uninterrupted.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert len(going_on.history) == EPOCHS


def test_weights_that_are_zero_stay_so_whatever_a_step_does_to_them() -> None:
    import keras

    from viewfinder.optimization.prune import Pruning

    chance = np.random.default_rng(0)
    weights = [keras.Variable(chance.normal(size=shape)) for shape in ((3, 3, 4, 8), (8, 5))]
    pruning = Pruning(weights, 0.5)
    pruning.begin()
    zero: list[Any] = [np.zeros(weight.shape, bool) for weight in weights]
    for done in range(1, STEPS + 1):
        for weight in weights:
            weight.assign_add(chance.normal(size=weight.shape))
        pruning.after_step(done, STEPS)
        now = [weight.numpy() == 0 for weight in weights]
        assert all((after | ~before).all() for before, after in zip(zero, now, strict=True))
        zero = now
    assert sum(map(np.sum, zero)) == 164


def test_only_epochs_at_the_final_sparsity_are_kept_and_patience_waits_for_them(
    tmp_path: Path,
) -> None:
    wrong = Examples(VALIDATION.pixels, VALIDATION.rows, (VALIDATION.targets + 1) % small.CLASSES)
    gets_worse = run(tmp_path, epochs=14, validation=wrong)
    losses = [epoch.validation_loss for epoch in gets_worse.history]
    assert losses.index(min(losses)) < 9
    assert len(losses) >= 10  # the first at the final sparsity
    kernels = np.concatenate([kernel(gets_worse.model, layer).ravel() for layer in PRUNED])
    assert (kernels == 0).mean() == pytest.approx(0.7, abs=1 / len(kernels))


def test_the_smallest_of_all_layers_go_and_each_layer_keeps_a_tenth() -> None:
    from viewfinder.optimization.prune import smallest

    chance = np.random.default_rng(1)
    layers = [chance.normal(size=size).astype(np.float32) for size in ((20, 30), (8, 9), (40,))]
    every = np.concatenate([layer.ravel() for layer in layers])
    limit = np.sort(abs(every))[round(0.6 * len(every))]
    for layer, gone in zip(layers, smallest(layers, 0.6), strict=True):
        np.testing.assert_array_equal(gone, abs(layer) < limit)
    layers[1] *= 1e-3
    assert [gone.mean() for gone in smallest(layers, 0.6)][1] == pytest.approx(0.9, abs=0.02)
    assert [gone.mean() for gone in smallest(layers, 0.99)] == pytest.approx([0.9] * 3, abs=0.02)
    nothing = smallest([np.array([0.0, 0.0, 1.0, 2.0], np.float32)], 0.25)
    assert nothing[0].sum() == 0  # two are zero already


@pytest.mark.parametrize("sparsity", [0.0, 1.0, -0.5, 70.0, float("nan")])
def test_a_sparsity_that_is_no_share_is_refused(tmp_path: Path, sparsity: float) -> None:
    with pytest.raises(InvalidParameterError, match="sparsity"):
        run(tmp_path, sparsity=sparsity)
