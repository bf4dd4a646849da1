"""Distillation: a smaller model learns from what a trained one says of the photos.

Both look at the very same crop, however it was changed (Beyer et al., 2021, arXiv:2106.05237); the
student, whose input may be of another size, at that crop resized.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.errors import InvalidParameterError
from viewfinder.imaging.geometry import PreprocessSpec, to_input
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.training.examples import Examples
from viewfinder.training.frozen import Frozen
from viewfinder.training.method import Plain
from viewfinder.training.options import TrainingOptions
from viewfinder.training.parts import Parts, freeze
from viewfinder.training.progress import Epoch, Listener, Phase
from viewfinder.training.recipe import compile_model
from viewfinder.training.run import RunFolder
from viewfinder.training.trainer import Trainer, begin

_TEMPERATURE = 1.0
_OF_LABELS = 0.5
_SEEN, _TOLD = "seen", "told"


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Attributes:
        model: A `keras.Model` in float32: uint8 `[N, S, S, 3]` to logits, S the student's own.
        history: The epochs, those of the head first.
    """

    model: Any
    history: tuple[Epoch, ...]


def distill(
    teacher: Any,
    student: str,
    train: Examples,
    validation: Examples,
    *,
    weights: str = "imagenet",
    epochs: int | None,
    seed: int,
    run: RunFolder,
    listener: Listener,
    should_stop: Callable[[], bool],
    threads: int,
    clock: Callable[[], float] = time.monotonic,
) -> Distilled:
    """Teach a new model what a trained one says; that one stays as it is.

    The student's head is trained on the labels first, on frozen features, as in every training.

    Args:
        teacher: A `keras.Model` of uint8 `[N, S, S, 3]` to logits `[N, C]`.
        student: A preset of `modeling.backbones`.
        train: The photos to learn from, of the teacher's size.
        validation: The photos that say which epoch is best, by their labels; may be none.
        weights: What the student begins with: `imagenet`, `none`, or the path of a file.
        epochs: Times that every photo is looked at; chosen by their number if not said.
        seed: Of everything that is left to chance.
        run: Where the state is kept; a run that was stopped or killed goes on from there.
        listener: Hears how it goes.
        should_stop: Asked after every step.
        threads: Photos to work on side by side on a CPU.
        clock: Seconds; `time.monotonic`.

    Raises:
        InvalidParameterError: There is no such student.
        WeightsError: The student's weights cannot be had; told before anything is done.
        TrainingStoppedError: Somebody has asked for it. The next call goes on from there.
        TrainingError: The numbers have left the range of what is a number.
    """
    if student not in BACKBONES:
        raise InvalidParameterError(
            f"there is no backbone {student!r}; `viewfinder models backbones` lists them"
        )
    classes = int(teacher.output_shape[-1])
    options = TrainingOptions(backbone=student, weights=weights, epochs=epochs, seed=seed)
    beginning = begin(options, classes)
    side = BACKBONES[student].input_size
    trainer = Trainer(
        beginning,
        Resized.of(train, side),
        Resized.of(validation, side),
        classes,
        options,
        method=Distilling(freeze(teacher, threads), side),
        run=run,
        listener=listener,
        should_stop=should_stop,
        threads=threads,
        clock=clock,
    )
    learned = trainer.learn(None, to_judge=0)
    return Distilled(learned.model, learned.history)


@dataclass(frozen=True, slots=True)
class Resized(Examples):
    """Photos of the teacher's size, whose centre is looked at by the student.

    Attributes:
        seen: Height and width of the student's input.
    """

    seen: int

    @classmethod
    def of(cls, examples: Examples, seen: int) -> "Resized":
        """The same photos."""
        return cls(examples.pixels, examples.rows, examples.targets, seen)

    def centre(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """What the student sees of photos without their margin, uint8 `[n, seen, seen, 3]`."""
        return resized(Examples.centre(self, chosen), self.seen)


def resized(photos: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Bring photos to another size, as serving does: uint8 `[N, side, side, 3]`."""
    if photos.shape[1] == side:
        return photos
    spec = PreprocessSpec(width=side, height=side)
    return np.stack([to_input(Image.fromarray(photo), spec) for photo in photos])


class Distilling(Plain):
    """A `Method` that minimises how far the student is from what the teacher says.

    What the teacher says is computed beside the photos and handed to Keras' `Distiller` with them:
    it is no part of the graph, and on a CPU LiteRT runs it in less than half of the time.

    The temperature is 1, because Viewfinder's teachers learn from smoothed labels: their answers
    are soft already, and there is little more to see at a higher one (Müller et al., 2019,
    arXiv:1906.02629). Half of the loss is of the labels themselves. How much a photo of each class
    counts, the teacher's answers tell.

    Args:
        teacher: uint8 `[N, S, S, 3]` to logits `[N, C]`.
        side: Height and width of the student's input.
    """

    def __init__(self, teacher: Frozen, side: int) -> None:
        self._teacher = teacher
        self._side = side

    @property
    def phase(self) -> Phase:
        """See `Method`."""
        return "distilling"

    def learner(self, parts: Parts) -> Any:
        """See `Method`."""
        inputs = {
            name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
            for name, tensor in self.inputs(parts).items()
        }
        distiller = keras.distillation.Distiller(
            teacher=keras.Model(inputs, keras.layers.Identity()(inputs[_TOLD])),
            student=keras.Model(inputs, parts.upper(inputs[_SEEN])),
            distillation_losses=keras.distillation.LogitsDistillation(_TEMPERATURE),
            student_loss_weight=_OF_LABELS,
        )
        compile_model(distiller, smoothing=0.0)
        return distiller

    def inputs(self, parts: Parts) -> Any:
        """See `Method`."""
        return {_SEEN: parts.upper.inputs[0], _TOLD: parts.upper.outputs[0]}

    def shown(self, parts: Parts, photos: NDArray[np.uint8]) -> Any:
        """See `Method`."""
        return {
            _SEEN: parts.seen(resized(photos, self._side)),
            _TOLD: self._teacher(photos),
        }
