"""Fine-tuning: stopped anywhere, it goes on as if nothing had happened."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import ROOT
from tests.training import small
from viewfinder.errors import TrainingError, TrainingStoppedError
from viewfinder.training.examples import Examples
from viewfinder.training.run import RunFolder
from viewfinder.training.schedule import Plan, plan
from viewfinder.training.scores import Validation

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

TRAIN, VALIDATION = small.photos(100, 1), small.photos(40, 2)
PLAN = plan(100, 3)


def tuning(
    folder: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    listener: small.Notes | None = None,
    clock: Callable[[], float] | None = None,
    validation: Examples = VALIDATION,
    train: Examples = TRAIN,
) -> tuple[Any, Any]:
    """The same beginning each time: a model, and what fine-tunes it."""
    from viewfinder.training import devices
    from viewfinder.training.finetune import FineTuning
    from viewfinder.training.parts import Parts

    devices.prepare(7)
    model = small.model()
    folder.mkdir(exist_ok=True)
    return model, FineTuning(
        Parts(None, model),
        train,
        validation,
        np.ones(small.CLASSES, np.float32),
        seed=7,
        run=RunFolder(folder),
        listener=listener or small.Notes(),
        should_stop=should_stop,
        clock=clock or time.monotonic,
    )


def after(asked: int) -> Callable[[], bool]:
    """Asks to stop when it has been asked so many times."""
    times = iter(range(asked))
    return lambda: next(times, None) is None


def weights(model: Any) -> list[NDArray[Any]]:
    return [np.array(weight.numpy()) for weight in model.weights]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[NDArray[Any]], Any]:
    model, undisturbed = tuning(tmp_path_factory.mktemp("run"))
    history = undisturbed.train(PLAN, None, None)
    return weights(model), history


def test_it_learns(uninterrupted: Any) -> None:
    _, history = uninterrupted
    assert [epoch.number for epoch in history] == [1, 2, 3]
    assert history[-1].loss < history[0].loss
    assert history[-1].validation_loss < history[0].validation_loss


def test_the_same_seed_gives_the_same_weights(uninterrupted: Any, tmp_path: Path) -> None:
    model, again = tuning(tmp_path)
    again.train(PLAN, None, None)
    for one, other in zip(weights(model), uninterrupted[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_a_run_that_was_stopped_ends_in_the_same_weights(
    uninterrupted: Any, tmp_path: Path, steps: int
) -> None:
    before = small.Notes()
    _, stopped = tuning(tmp_path, should_stop=after(steps), listener=before)
    with pytest.raises(TrainingStoppedError):
        stopped.train(PLAN, None, None)
    listener = small.Notes()
    model, going_on = tuning(tmp_path, listener=listener)
    assert going_on.interrupted
    history = going_on.train(PLAN, None, None)
    assert listener.steps[0] == before.steps[-1] + 1
    assert [epoch.number for epoch in history] == [1, 2, 3]
    for one, other in zip(weights(model), uninterrupted[0], strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(history, uninterrupted[1], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert replace(one, loss=0, accuracy=0) == replace(other, loss=0, accuracy=0)


def test_the_best_weights_are_kept_and_not_the_last(tmp_path: Path) -> None:
    model, fruitless = tuning(tmp_path)
    before = model.get_weights()
    # Nothing can be better than no loss at all: what was there before it began.
    history = fruitless.train(PLAN, Validation(loss=0.0, accuracy=1.0), None)
    assert len(history) == 3
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_ends_early_when_nothing_gets_better(tmp_path: Path) -> None:
    _, fruitless = tuning(tmp_path)
    history = fruitless.train(plan(100, 12), Validation(loss=0.0, accuracy=1.0), None)
    assert len(history) == 3


def test_without_validation_photos_the_last_weights_stay(tmp_path: Path) -> None:
    nothing = Examples(VALIDATION.pixels, np.zeros(0, np.int64), np.zeros(0, np.int64))
    model, blind = tuning(tmp_path, validation=nothing)
    before = model.get_weights()
    history = blind.train(PLAN, None, None)
    assert [epoch.validation_loss for epoch in history] == [None] * 3
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_time_that_is_up_ends_it_with_what_there_is(tmp_path: Path) -> None:
    listener = small.Notes()
    ticks = iter(range(1_000_000))
    _, late = tuning(tmp_path, listener=listener, clock=lambda: float(next(ticks)))
    history = late.train(plan(100, 50), None, 10.0)
    assert 1 <= len(history) < 10
    assert listener.notes == ["The time is up: the best of what there is will do."]


def test_a_trial_measures_the_machine_and_changes_nothing(tmp_path: Path) -> None:
    ticks = iter(range(1_000_000))
    model, careful = tuning(tmp_path, clock=lambda: float(next(ticks)))
    before = weights(model)
    fitting = careful.fitting(plan(100, 50), 100.0)
    assert fitting is not None
    assert fitting.steps_per_epoch == 4
    assert 10 < fitting.steps < 100  # a second for each step, as the clock says
    for one, other in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert careful.fitting(plan(100, 50), 5.0) is None


def test_a_pipeline_that_was_left_half_read_holds_up_no_other(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.training.abandoned", str(tmp_path / "run")]
    subprocess.run(program, cwd=ROOT, check=True, capture_output=True, timeout=120)


def test_numbers_out_of_hand_are_an_error(tmp_path: Path) -> None:
    model, wild = tuning(tmp_path)
    model.get_layer("logits").bias.assign(np.full(small.CLASSES, np.nan, np.float32))
    with pytest.raises(TrainingError, match="no longer a number"):
        wild.train(PLAN, None, None)


def test_each_photo_is_seen_once_an_epoch_and_each_epoch_otherwise(tmp_path: Path) -> None:
    _, any_ = tuning(tmp_path)
    shown = [list(any_._dataset(epoch, 0, 4).as_numpy_iterator()) for epoch in (0, 1)]
    for epoch in shown:
        counts = np.concatenate([targets for _, targets, _ in epoch]).sum(axis=0)
        assert counts.tolist() == np.bincount(TRAIN.targets).tolist()
    assert not np.array_equal(shown[0][0][0], shown[1][0][0])
    again = next(any_._dataset(0, 0, 1).as_numpy_iterator())
    np.testing.assert_array_equal(again[0], shown[0][0][0])


def test_steps_are_told_over_all_epochs(tmp_path: Path) -> None:
    listener = small.Notes()
    _, told = tuning(tmp_path, listener=listener)
    told.train(Plan(steps=6, steps_per_epoch=4), None, None)
    assert listener.phases == [("fine-tuning", 6)]
    assert listener.steps == [1, 2, 3, 4, 5, 6]


def test_a_state_of_other_parts_of_the_model_is_not_gone_on_with(tmp_path: Path) -> None:
    RunFolder(tmp_path).save("fine-tuning", [np.zeros(3)], {})
    _, tuned = tuning(tmp_path)
    assert not tuned.interrupted
    assert len(tuned.train(plan(32, 1), None, None)) == 1


def test_of_few_photos_the_building_of_the_graph_is_not_taken_for_a_step(tmp_path: Path) -> None:
    ticks = iter([0, 100, *range(101, 110)])  # the first step builds the graph
    _, tuned = tuning(tmp_path, train=small.photos(30, 1), clock=lambda: float(next(ticks)))
    fitting = tuned.fitting(plan(30, 20), 200.0)
    assert fitting is not None
    assert fitting.epochs == 20
