"""What fine-tuning does besides showing photos: nothing, or something that a method adds."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.training.parts import Parts
from viewfinder.training.progress import Phase
from viewfinder.training.recipe import compile_model


class Method(Protocol):
    """One way to fine-tune.

    What it knows between two steps can be told from the weights alone, so that a run goes on
    exactly in another process.
    """

    @property
    def phase(self) -> Phase:
        """What a person is told."""

    @property
    def settles(self) -> float:
        """The share of the steps, 0-1, after which weights are ones to keep."""

    def learner(self, parts: Parts) -> Any:
        """The compiled `keras.Model` to call `fit` on, with the weights of `parts.upper`."""

    def inputs(self, parts: Parts) -> Any:
        """The Keras tensors that the learner takes: one, or a dictionary of them."""

    def shown(self, parts: Parts, photos: NDArray[np.uint8]) -> Any:
        """What the learner is shown of photos, uint8 `[N, S, S, 3]`: arrays built like `inputs`."""

    def begin(self) -> None:
        """The weights are in place, those of an interrupted run included."""

    def after_step(self, done: int, steps: int) -> None:
        """So many of the steps are done; the state is put aside after this."""


class Plain:
    """A `Method` that adds nothing."""

    @property
    def phase(self) -> Phase:
        """See `Method`."""
        return "fine-tuning"

    @property
    def settles(self) -> float:
        """See `Method`."""
        return 0.0

    def learner(self, parts: Parts) -> Any:
        """See `Method`."""
        compile_model(parts.upper)
        return parts.upper

    def inputs(self, parts: Parts) -> Any:
        """See `Method`."""
        return parts.upper.inputs[0]

    def shown(self, parts: Parts, photos: NDArray[np.uint8]) -> Any:
        """See `Method`."""
        return parts.seen(photos)

    def begin(self) -> None:
        """See `Method`."""

    def after_step(self, done: int, steps: int) -> None:
        """See `Method`."""
