"""The first phase: a head on features that are computed once, which takes seconds."""

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import TrainingError
from viewfinder.training.progress import Epoch
from viewfinder.training.recipe import NOT_A_NUMBER, compile_model, one_hot, set_learning_rate
from viewfinder.training.schedule import learning_rate
from viewfinder.training.scores import Validation, validate

_BATCHES = (8, 256)
_STEPS_AN_EPOCH = 8
_LEARNING_RATE = 3e-3
_LOOKS = 90_000
_EPOCHS = (30, 100)
_PATIENCE = 10


def head_epochs(photos: int) -> int:
    """Epochs of the head: about 90,000 looks at features, which takes seconds."""
    return min(_EPOCHS[1], max(_EPOCHS[0], math.ceil(_LOOKS / photos)))


def train_head(
    head: Any,
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    weights: NDArray[np.float32],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    epochs: int,
    tell: Callable[[Epoch], None],
) -> Validation | None:
    """Train a head and leave its best weights in it.

    Args:
        head: A `keras.Model` of features float32 `[N, F]` to logits `[N, C]`.
        features: Of the photos to learn from, float32 `[N, F]`.
        targets: Their classes, int64 `[N]`.
        weights: How much a photo of each class counts, float32 `[C]`.
        validation: Features and classes of the validation photos; may be none.
        epochs: The most.
        tell: Hears of each epoch.

    Returns:
        How well the best weights do on the validation photos; None if there are none.

    Raises:
        TrainingError: The numbers have left the range of what is a number.
    """
    classes = int(head.output_shape[-1])
    batch = min(_BATCHES[1], max(_BATCHES[0], len(features) // _STEPS_AN_EPOCH))
    steps = math.ceil(len(features) / batch) * epochs
    compile_model(head)
    taken, rate = count(), 0.0
    best: Validation | None = None
    best_weights: list[Any] = []
    best_number = 0

    def pace(_batch: int, **_: object) -> None:
        nonlocal rate
        rate = learning_rate(next(taken), steps, _LEARNING_RATE)
        set_learning_rate(head, rate)

    def look(number: int, logs: Mapping[str, float]) -> None:
        nonlocal best, best_weights, best_number
        if not np.isfinite(logs["loss"]):
            raise TrainingError(NOT_A_NUMBER)
        now = None
        if len(validation[1]):
            now = validate(np.asarray(head(validation[0], training=False)), validation[1])
            if best is None or now.loss < best.loss:
                best, best_weights, best_number = now, head.get_weights(), number
            head.stop_training = number - best_number >= max(_PATIENCE, epochs // 4)
        tell(
            Epoch(
                "head",
                number + 1,
                loss=logs["loss"],
                accuracy=logs["accuracy"],
                validation_loss=now.loss if now else None,
                validation_accuracy=now.accuracy if now else None,
                learning_rate=rate,
            )
        )

    head.fit(
        features,
        one_hot(targets, classes),
        sample_weight=weights[targets],
        batch_size=batch,
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look, on_train_batch_begin=pace)],
    )
    if best is not None:
        head.set_weights(best_weights)
    return best
