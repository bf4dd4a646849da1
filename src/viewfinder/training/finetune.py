"""The second phase: the upper blocks learn too, with the head that the first phase left."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from viewfinder.errors import TrainingError, TrainingStoppedError
from viewfinder.training.augment import augment, change
from viewfinder.training.examples import Examples
from viewfinder.training.frozen import in_chunks
from viewfinder.training.method import Method, Plain
from viewfinder.training.parts import Parts
from viewfinder.training.progress import Epoch, Listener
from viewfinder.training.recipe import (
    NOT_A_NUMBER,
    arrays,
    one_hot,
    restore,
    set_learning_rate,
    state,
)
from viewfinder.training.run import RunFolder, Saved
from viewfinder.training.schedule import BATCH, Plan, fit, learning_rate
from viewfinder.training.scores import Validation, validate

LEARNING_RATE = 3e-4
_SAVE_EVERY_S = 60.0
_TRIAL_STEPS, _TIMED_STEPS = 6, 3
_PATIENCE = 3
_STATE, _BEST = "fine-tuning", "best"
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Position:
    """How far fine-tuning is.

    Attributes:
        plan: All its steps.
        epoch: Of the next step, from 0.
        step: The next step within the epoch.
        loss_sum: Of the epoch's photos so far.
        accuracy_sum: Likewise.
        best_loss: The lowest validation loss so far.
        best_epoch: When that was, from 1; 0 for before the first.
        history: The epochs that have ended.
    """

    plan: Plan
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    accuracy_sum: float = 0.0
    best_loss: float | None = None
    best_epoch: int = 0
    history: tuple[Epoch, ...] = field(default_factory=tuple)


class FineTuning:
    """Fine-tuning that can be stopped after any step and goes on as if nothing had happened.

    Args:
        parts: The model.
        train: The photos to learn from.
        validation: The photos that say when it is best; may be none.
        weights: How much a photo of each class counts, float32 `[C]`.
        method: What is done besides; nothing if not said.
        seed: Of the order of the photos, and of what is done to them.
        run: Where the state is kept.
        listener: Hears how it goes.
        should_stop: Asked after every step.
        clock: Seconds; `time.monotonic`.
    """

    def __init__(
        self,
        parts: Parts,
        train: Examples,
        validation: Examples,
        weights: NDArray[np.float32],
        *,
        method: Method | None = None,
        seed: int,
        run: RunFolder,
        listener: Listener,
        should_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._train = train
        self._validation = validation
        self._weights = weights
        self._seed = seed
        self._run = run
        self._listener = listener
        self._should_stop = should_stop
        self._clock = clock
        self._method = method or Plain()
        self._learner = self._method.learner(parts)

    def fitting(self, plan: Plan, seconds: float) -> Plan | None:
        """As much of a plan as fits into so many seconds, from a few steps as a trial.

        What the trial has learned is forgotten.
        """
        model = self._learner
        before, ticks = arrays(state(model)), [self._clock()]
        steps = min(_TRIAL_STEPS, plan.steps_of(0))
        trial = self._dataset(0, 0, steps)
        tick = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _batch, **_: ticks.append(self._clock())
        )
        # Of few photos, an epoch is a step or two: with the first alone, everything looks slow.
        times = math.ceil(_TRIAL_STEPS / steps)
        _fit(model, trial, tick, epochs=times)
        restore(state(model), before)
        # The first step builds the graph as well; looking goes no way back through it.
        step_s = float(np.median(np.diff(ticks)[-_TIMED_STEPS:]))
        validation_s = 0.5 * step_s * len(self._validation) / BATCH
        left = seconds - (ticks[-1] - ticks[0])
        return fit(plan, seconds=left, step_s=step_s, validation_s=validation_s)

    @property
    def interrupted(self) -> bool:
        """Whether an earlier process has begun this and not ended it."""
        return self._saved() is not None

    def train(
        self, plan: Plan, before: Validation | None, deadline: float | None
    ) -> tuple[Epoch, ...]:
        """Fine-tune, and leave the best weights in the model.

        Args:
            plan: The steps; a run that goes on keeps the plan that it had.
            before: How well the model does already.
            deadline: On the clock, when to stop with what there is; None for never.

        Returns:
            What happened, epoch by epoch, those before an interruption included.

        Raises:
            TrainingStoppedError: Somebody has asked for it. The next call goes on from there.
            TrainingError: The numbers have left the range of what is a number.
        """
        model = self._parts.upper
        saved = self._saved()
        if saved is None:
            position = Position(plan, best_loss=before.loss if before else None)
            self._run.save(_BEST, model.get_weights(), {})
        else:
            position = _read(saved.facts)
            restore(state(self._learner), saved.arrays)
        self._method.begin()
        self._listener.phase(self._method.phase, position.plan.steps)
        while position.epoch < position.plan.epochs and not _patience_is_over(position):
            position = self._learn(position, deadline)
            position = self._look(position)
            if deadline is not None and self._clock() > deadline:
                self._listener.note("The time is up: the best of what there is will do.")
                break
        best = self._run.load(_BEST)
        if best is not None and len(self._validation):
            model.set_weights(best.arrays)
        return position.history

    def _learn(self, position: Position, deadline: float | None) -> Position:
        """The steps that are left of an epoch."""
        model, plan = self._learner, position.plan
        steps = plan.steps_of(position.epoch)
        if position.step >= steps:
            return position
        now, saved_at = position, self._clock()

        def pace(batch: int, **_: object) -> None:
            number = position.epoch * plan.steps_per_epoch + position.step + batch
            set_learning_rate(model, learning_rate(number, plan.steps, LEARNING_RATE))

        def follow(batch: int, logs: Mapping[str, float]) -> None:
            nonlocal now, saved_at
            if not np.isfinite(logs["loss"]):
                raise TrainingError(NOT_A_NUMBER)
            step = position.step + batch + 1
            # Keras tells the mean over the photos since this call of `fit`.
            photos = self._photos(step) - self._photos(position.step)
            now = replace(
                position,
                step=step,
                loss_sum=position.loss_sum + logs["loss"] * photos,
                accuracy_sum=position.accuracy_sum + logs["accuracy"] * photos,
            )
            done = position.epoch * plan.steps_per_epoch + now.step
            self._method.after_step(done, plan.steps)
            self._listener.step(done)
            if self._should_stop() or (deadline is not None and self._clock() > deadline):
                model.stop_training = True
            elif self._clock() - saved_at > _SAVE_EVERY_S:
                self._save(now)
                saved_at = self._clock()

        following = keras.callbacks.LambdaCallback(
            on_train_batch_begin=pace, on_train_batch_end=follow
        )
        _fit(model, self._dataset(position.epoch, position.step, steps), following)
        self._stop_if_asked(now)
        return now

    def _look(self, position: Position) -> Position:
        """Judge what an epoch has brought, and keep it if it is the best so far."""
        model, plan = self._parts.upper, position.plan
        now = self._validate(position) if len(self._validation) else None
        done = position.epoch * plan.steps_per_epoch + position.step
        ended = Epoch(
            self._method.phase,
            position.epoch + 1,
            loss=position.loss_sum / self._photos(position.step),
            accuracy=position.accuracy_sum / self._photos(position.step),
            validation_loss=now.loss if now else None,
            validation_accuracy=now.accuracy if now else None,
            learning_rate=learning_rate(done - 1, plan.steps, LEARNING_RATE),
        )
        position = replace(
            position,
            epoch=position.epoch + 1,
            step=0,
            loss_sum=0.0,
            accuracy_sum=0.0,
            history=(*position.history, ended),
        )
        better = now is not None and (position.best_loss is None or now.loss < position.best_loss)
        if now is not None and better and done >= self._method.settles * plan.steps:
            position = replace(position, best_loss=now.loss, best_epoch=position.epoch)
            self._run.save(_BEST, model.get_weights(), {})
        self._save(position)
        self._listener.epoch(ended)
        return position

    def _photos(self, steps: int) -> int:
        """Photos in the first steps of an epoch."""
        return min(steps * BATCH, len(self._train))

    def _validate(self, position: Position) -> Validation:
        model = self._parts.upper

        def logits(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            self._stop_if_asked(position)
            # `predict_on_batch` would ask each of several devices, and give all their answers.
            answer: NDArray[np.float32] = model.predict(self._parts.seen(pixels), verbose=0)
            return answer

        every = in_chunks(logits, self._validation.centre, len(self._validation), lambda _: None)
        return validate(every, self._validation.targets)

    def _stop_if_asked(self, position: Position) -> None:
        if self._should_stop():
            self._save(position)
            raise TrainingStoppedError

    def _saved(self) -> Saved | None:
        """What an earlier process has left, unless less or more of the model learned there."""
        saved = self._run.load(_STATE)
        if saved is None:
            return None
        shapes = [tuple(variable.shape) for variable in state(self._learner)]
        return saved if shapes == [array.shape for array in saved.arrays] else None

    def _save(self, position: Position) -> None:
        self._run.save(_STATE, arrays(state(self._learner)), asdict(position))

    def _dataset(self, epoch: int, start: int, end: int) -> Any:
        """The batches of an epoch from `start` on: a function of the seed and of nothing else.

        Not `from_generator`: it makes the allocator give freed memory back to the system at once,
        which a third of the time of a step was spent on.
        """
        change()
        inputs = self._method.inputs(self._parts)
        flat, classes = keras.tree.flatten(inputs), len(self._weights)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._train))

        def batch(step: Any) -> tuple[Any, ...]:
            made = tf.numpy_function(
                lambda number: self._batch(epoch, order, int(number)),
                [step],
                [*(tensor.dtype for tensor in flat), tf.float32, tf.float32],
                stateful=False,
            )
            shown = [
                tf.ensure_shape(array, (None, *tensor.shape[1:]))
                for array, tensor in zip(made[:-2], flat, strict=True)
            ]
            return (
                keras.tree.pack_sequence_as(inputs, shown),
                tf.ensure_shape(made[-2], (None, classes)),
                tf.ensure_shape(made[-1], (None,)),
            )

        return tf.data.Dataset.range(start, end).map(batch).prefetch(_AHEAD)

    def _batch(self, epoch: int, order: NDArray[np.int64], step: int) -> tuple[Any, ...]:
        """One batch: what is shown of photos, their classes, their weights."""
        chosen = order[step * BATCH : (step + 1) * BATCH]
        seeds = [(self._seed, epoch, int(number)) for number in chosen]
        photos = augment(self._train.whole(chosen), self._train.side, seeds)
        targets = self._train.targets[chosen]
        return (
            *keras.tree.flatten(self._method.shown(self._parts, photos)),
            one_hot(targets, len(self._weights)),
            self._weights[targets],
        )


def interrupted(run: RunFolder) -> bool:
    """Whether fine-tuning has begun in a run and not ended."""
    return run.load(_STATE) is not None


def _fit(model: Any, batches: Any, callback: Any, *, epochs: int = 1) -> None:
    """Learn from batches, and let go of what makes them.

    What is left of them ends in a garbage collection, and waits there for the last batch, which
    needs the interpreter: on this thread and while there is one, not when the process ends.
    """
    try:
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback])
    finally:
        gc.collect()


def _patience_is_over(position: Position) -> bool:
    if position.best_loss is None:
        return False
    return position.epoch - position.best_epoch >= max(_PATIENCE, position.plan.epochs // 5)


def _read(facts: Mapping[str, Any]) -> Position:
    told = dict(facts)
    history = tuple(Epoch(**epoch) for epoch in told.pop("history"))
    return Position(plan=Plan(**told.pop("plan")), history=history, **told)
