"""Pruning: most weights of a model become zero, while the others learn to do without them.

The smallest go first, a few at every step of the way (Zhu and Gupta, 2017, arXiv:1710.01878), and
stay away. A graph of such weights is as large as before and as quick, but compresses well.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import InvalidParameterError
from viewfinder.modeling.cutting import split_at
from viewfinder.modeling.saving import set_weights
from viewfinder.training import devices
from viewfinder.training.examples import Examples
from viewfinder.training.finetune import FineTuning
from viewfinder.training.method import Plain
from viewfinder.training.parts import border_of, parts_of
from viewfinder.training.progress import Epoch, Listener, Phase
from viewfinder.training.recipe import freeze_batch_norm
from viewfinder.training.run import RunFolder
from viewfinder.training.schedule import default_epochs, plan
from viewfinder.training.weights import class_weights

_SETTLES = 0.7
_TIMES = 50
_KEPT = 0.1


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of it.

    Attributes:
        model: A `keras.Model` in float32: uint8 `[N, S, S, 3]` to logits.
        sparsity: The share of zeros among all its weights, 0-1.
        history: The epochs.
    """

    model: Any
    sparsity: float
    history: tuple[Epoch, ...]


def prune(
    model: Any,
    train: Examples,
    validation: Examples,
    *,
    sparsity: float,
    epochs: int | None,
    seed: int,
    run: RunFolder,
    listener: Listener,
    should_stop: Callable[[], bool],
    threads: int,
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Prune a copy of a model; the model itself stays as it is.

    Args:
        model: What `build_classifier` made, trained.
        train: The photos to learn from.
        validation: The photos that say which of the epochs at the final sparsity is best; may be
            none, then the last is.
        sparsity: The share of zeros in the layers that are pruned, above 0 and below 1; 0.5-0.8
            is worth trying.
        epochs: Times that every photo is looked at; chosen by their number if not said.
        seed: Of the order of the photos, and of what is done to them.
        run: Where the state is kept; a run that was stopped or killed goes on from there.
        listener: Hears how it goes.
        should_stop: Asked after every step.
        threads: Photos to work on side by side on a CPU.
        clock: Seconds; `time.monotonic`.

    Raises:
        InvalidParameterError: There is no such sparsity.
        TrainingStoppedError: Somebody has asked for it. The next call goes on from there.
        TrainingError: The numbers have left the range of what is a number.
    """
    if not 0 < sparsity < 1:
        raise InvalidParameterError("sparsity: a share of the weights, above 0 and below 1")
    devices.prepare(seed)
    pruned = _copy(model)
    freeze_batch_norm(pruned)
    tuning = FineTuning(
        parts_of(pruned, threads),
        train,
        validation,
        class_weights(train.targets, int(pruned.output_shape[-1])),
        method=Pruning(kernels_of(pruned), sparsity),
        seed=seed,
        run=run,
        listener=listener,
        should_stop=should_stop,
        clock=clock,
    )
    steps = plan(len(train), epochs or default_epochs(len(train)))
    history = tuning.train(steps, None, None)
    return Pruned(pruned, zeros(pruned), history)


def zeros(model: Any) -> float:
    """The share of zeros among all the weights of a model, 0-1."""
    arrays = model.get_weights()
    return float(np.mean(np.concatenate([array.ravel() for array in arrays]) == 0))


def kernels_of(model: Any) -> list[Any]:
    """The weights that are pruned: of the convolutions and of the hidden layers of the head.

    What is left as it is holds a few per cent of the weights, and would cost the most: biases and
    batch normalisation; depthwise kernels, which have 9 or 25 numbers for each channel; the layers
    that tell edges and textures (`border_of`), so that the same is pruned on every machine; the
    logits, which are of another number for each model.
    """
    border = border_of(model)
    below = set() if border is None else {layer.name for layer in split_at(model, border)[0].layers}
    return [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
        and layer.name not in below
        and layer.output is not model.output
    ]


def sparsity_after(done: int, steps: int, final: float) -> float:
    """How sparse the weights are after so many steps: quickly at first, while there is plenty.

    Equation 1 of Zhu and Gupta, from 0 to `final` at 70% of the steps; the others are left to get
    used to it.
    """
    left = max(0.0, 1 - done / (_SETTLES * steps))
    return final * (1 - left**3)


def smallest(kernels: Sequence[NDArray[np.float32]], sparsity: float) -> list[NDArray[np.bool_]]:
    """Which weights are to go: the smallest of all layers together.

    So the layers with most to spare lose most. An EfficientNet-Lite2 that told 91.8% of a few
    hundred photos rightly told 87.7% without half of these weights, before it had learned anything
    anew; with half of each layer's gone 82.1%, by LAMP's scores (Lee et al., 2020,
    arXiv:2010.07611) 84.5%. Each layer keeps a tenth of its weights all the same.

    Returns:
        For each kernel an array of its shape: True where a weight goes.
    """
    sizes = [_with_the_largest_kept(np.abs(kernel)) for kernel in kernels]
    every = np.sort(np.concatenate([size.ravel() for size in sizes]))
    gone = min(round(sparsity * len(every)), int(np.isfinite(every).sum()))
    return [size < every[gone] for size in sizes]


def _with_the_largest_kept(sizes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tell a tenth of a layer's weights as larger than all others."""
    kept = sizes > np.quantile(sizes, 1 - _KEPT)
    return np.where(kept, np.float32(np.inf), sizes)


class Pruning(Plain):
    """A `Method` that sets more and more weights to zero, and holds them there.

    Which they are, the weights tell: those that are zero.

    Args:
        kernels: The Keras variables that are pruned.
        sparsity: In the end, in all of them together, above 0 and below 1.
    """

    def __init__(self, kernels: Sequence[Any], sparsity: float) -> None:
        self._kernels = kernels
        self._sparsity = sparsity
        self._masks: list[Any] = []

    @property
    def phase(self) -> Phase:
        """See `Method`."""
        return "pruning"

    @property
    def settles(self) -> float:
        """See `Method`."""
        return _SETTLES

    def begin(self) -> None:
        """See `Method`."""
        self._masks = [_not_zero(kernel) for kernel in self._kernels]

    def after_step(self, done: int, steps: int) -> None:
        """See `Method`."""
        for kernel, mask in zip(self._kernels, self._masks, strict=True):
            kernel.assign(kernel * mask)
        if _due(done, steps):
            self._remove(sparsity_after(done, steps, self._sparsity))
        self.begin()

    def _remove(self, sparsity: float) -> None:
        arrays = [np.array(keras.ops.convert_to_numpy(kernel)) for kernel in self._kernels]
        for kernel, array, gone in zip(
            self._kernels, arrays, smallest(arrays, sparsity), strict=True
        ):
            kernel.assign(np.where(gone, np.float32(0), array))


def _not_zero(kernel: Any) -> Any:
    return keras.ops.cast(keras.ops.not_equal(kernel, 0), "float32")


def _due(done: int, steps: int) -> bool:
    """Whether weights are removed after this step: about 50 times, at last when it settles."""
    settled = _SETTLES * steps
    if done >= settled:
        return done - 1 < settled
    return done % max(1, int(settled / _TIMES)) == 0


def _copy(model: Any) -> Any:
    copy = keras.models.clone_model(model)
    set_weights(copy, model.get_weights())
    return copy
