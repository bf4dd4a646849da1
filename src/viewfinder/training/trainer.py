"""A classifier learns: the head on frozen features, then the upper blocks with it."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from viewfinder.errors import TrainingError
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.modeling.classifier import build_classifier
from viewfinder.modeling.cutting import split_at
from viewfinder.modeling.features import POOL
from viewfinder.modeling.pretrained import load_pretrained
from viewfinder.modeling.saving import set_weights
from viewfinder.training import devices
from viewfinder.training.examples import Examples
from viewfinder.training.finetune import FineTuning, interrupted
from viewfinder.training.frozen import in_chunks
from viewfinder.training.head import head_epochs, train_head
from viewfinder.training.method import Method
from viewfinder.training.options import TrainingOptions
from viewfinder.training.parts import freeze, parts_of
from viewfinder.training.progress import Epoch, Listener
from viewfinder.training.recipe import arrays, freeze_batch_norm, restore
from viewfinder.training.run import RunFolder
from viewfinder.training.schedule import default_epochs, plan
from viewfinder.training.scores import Validation
from viewfinder.training.weights import class_weights

_FULL = "float32"
_HEAD = "head"
_FROM_SCRATCH = 4
_REST_S, _JUDGE_S = 20.0, 0.03


@dataclass(frozen=True, slots=True)
class Learned:
    """What came out.

    Attributes:
        model: A `keras.Model` in float32: uint8 `[N, S, S, 3]` to logits.
        history: The epochs of both phases.
    """

    model: Any
    history: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class Beginning:
    """A model that has learned nothing yet.

    Attributes:
        model: The `keras.Model`, with the weights that it begins with.
        devices: What it was built for.
    """

    model: Any
    devices: devices.Devices


def begin(options: TrainingOptions, classes: int) -> Beginning:
    """Build the model of a training run.

    Args:
        options: How it is to be trained.
        classes: How many classes there are.

    Raises:
        WeightsError: There are no such weights.
    """
    devices.prepare(options.seed)
    here = devices.Devices()
    with here.scope(), devices.precision(here.policy):
        model = _build(options, classes)
        load_pretrained(model, BACKBONES[options.backbone], options.weights)
    return Beginning(model, here)


def _build(options: TrainingOptions, classes: int) -> Any:
    return build_classifier(BACKBONES[options.backbone], classes, head=options.head)


class Trainer:
    """Trains one classifier, in both phases.

    Args:
        beginning: The model.
        train: The photos to learn from.
        validation: The photos that say when it is best; may be none.
        classes: How many classes there are.
        options: How.
        method: What is done besides in the second phase; nothing if not said.
        run: Where the state is kept.
        listener: Hears how it goes.
        should_stop: Asked after every step of the second phase.
        threads: Photos to work on side by side on a CPU.
        clock: Seconds; `time.monotonic`.
    """

    def __init__(
        self,
        beginning: Beginning,
        train: Examples,
        validation: Examples,
        classes: int,
        options: TrainingOptions,
        *,
        method: Method | None = None,
        run: RunFolder,
        listener: Listener,
        should_stop: Callable[[], bool],
        threads: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beginning = beginning
        self._train = train
        self._validation = validation
        self._classes = classes
        self._options = options
        self._method = method
        self._run = run
        self._listener = listener
        self._should_stop = should_stop
        self._threads = threads
        self._clock = clock
        self._weights = class_weights(train.targets, classes)
        self._from_scratch = options.weights == "none"

    def learn(self, deadline: float | None, *, to_judge: int) -> Learned:
        """Train.

        Args:
            deadline: On the clock, when all must be done, what follows training included; None for
                never.
            to_judge: Photos that the model will be measured with afterwards.

        Raises:
            TrainingStoppedError: Somebody has asked for it. The next call goes on from there.
            TrainingError: The numbers have left the range of what is a number, or the budget leaves
                no time for random weights.
        """
        model = self._beginning.model
        with self._beginning.devices.scope():
            before, history = self._head(model)
            if self._options.fine_tune:
                history = (*history, *self._fine_tune(model, before, deadline, to_judge))
        return Learned(self._in_full_precision(model), history)

    def _head(self, model: Any) -> tuple[Validation | None, tuple[Epoch, ...]]:
        """The first phase, unless an earlier process has done it."""
        saved = self._run.load(_HEAD)
        if saved is not None:
            restore(model.variables, saved.arrays)
            found = saved.facts["validation"]
            history = tuple(Epoch(**epoch) for epoch in saved.facts["history"])
            return (Validation(**found) if found else None), history
        if self._from_scratch and self._options.fine_tune:
            return None, ()
        return self._train_head(model)

    def _train_head(self, model: Any) -> tuple[Validation | None, tuple[Epoch, ...]]:
        train, validation = self._train, self._validation
        lower, head = split_at(model, POOL)
        self._listener.phase("features", len(train) + len(validation))
        frozen = freeze(lower, self._threads)
        features = in_chunks(frozen, train.centre, len(train), self._listener.step)
        judged = (
            in_chunks(
                frozen,
                validation.centre,
                len(validation),
                lambda done: self._listener.step(len(train) + done),
            )
            if len(validation)
            else features[:0]
        )
        only = self._options.epochs if not self._options.fine_tune else None
        epochs = only or head_epochs(len(train))
        self._listener.phase("head", epochs)
        history: list[Epoch] = []

        def tell(epoch: Epoch) -> None:
            history.append(epoch)
            self._listener.step(epoch.number)
            self._listener.epoch(epoch)

        found = train_head(
            head,
            features,
            train.targets,
            self._weights,
            (judged, validation.targets),
            epochs=epochs,
            tell=tell,
        )
        facts = {
            "validation": asdict(found) if found else None,
            "history": [asdict(epoch) for epoch in history],
        }
        self._run.save(_HEAD, arrays(model.variables), facts)
        return found, tuple(history)

    def _fine_tune(
        self, model: Any, before: Validation | None, deadline: float | None, to_judge: int
    ) -> tuple[Epoch, ...]:
        began = self._clock()
        train = self._train
        if deadline is not None and not interrupted(self._run) and began > deadline - _REST_S:
            return self._no_time()
        if not self._from_scratch:
            freeze_batch_norm(model)
        parts = parts_of(model, self._threads, whole=self._from_scratch)
        if deadline is not None:
            # Two graphs are still to be made, and each asked for photos.
            cut_s = self._clock() - began
            deadline -= _REST_S + 3 * cut_s + _JUDGE_S * to_judge
        tuning = FineTuning(
            parts,
            train,
            self._validation,
            self._weights,
            method=self._method,
            seed=self._options.seed,
            run=self._run,
            listener=self._listener,
            should_stop=self._should_stop,
            clock=self._clock,
        )
        many = default_epochs(len(train)) * (_FROM_SCRATCH if self._from_scratch else 1)
        wanted = plan(len(train), self._options.epochs or many)
        if deadline is not None and not tuning.interrupted:
            fitting = tuning.fitting(wanted, deadline - self._clock())
            if fitting is None:
                return self._no_time()
            wanted = fitting
        return tuning.train(wanted, before, deadline)

    def _no_time(self) -> tuple[Epoch, ...]:
        if self._from_scratch:  # nothing has learned anything yet
            raise TrainingError("the budget leaves no time to train from random weights")
        self._listener.note("The budget leaves no time for fine-tuning: the head it is.")
        return ()

    def _in_full_precision(self, model: Any) -> Any:
        if self._beginning.devices.policy == _FULL:
            return model
        with devices.precision(_FULL):
            exported = _build(self._options, self._classes)
        set_weights(exported, [np.asarray(value, np.float32) for value in model.get_weights()])
        return exported
