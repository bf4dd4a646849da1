"""How a Keras model is told to learn: optimiser, loss, what stays as it is."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

WEIGHT_DECAY = 0.01
LABEL_SMOOTHING = 0.1
NOT_A_NUMBER = "the loss is no longer a number: other --weights, or another --backbone"


def compile_model(model: Any, *, smoothing: float = LABEL_SMOOTHING) -> None:
    """Make a model of logits ready for `fit`: AdamW and label smoothing.

    Args:
        model: A `keras.Model`.
        smoothing: Share of a label that goes to all classes alike, 0-1.

    Sources: Loshchilov and Hutter, 2017 (arXiv:1711.05101); Szegedy et al., 2015
    (arXiv:1512.00567).
    """
    optimizer = keras.optimizers.AdamW(weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
        metrics=["accuracy"],
    )
    optimizer.build(model.trainable_variables)


def set_learning_rate(model: Any, rate: float) -> None:
    """Of the next step; the schedule is ours, so that a plan can change without a new graph."""
    model.optimizer.learning_rate = rate


def freeze_batch_norm(model: Any) -> None:
    """Keep the statistics of batch normalisation: batches of 32 would only make them worse."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def one_hot(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """float32 `[N, classes]`."""
    return np.eye(classes, dtype=np.float32)[targets]


def state(model: Any) -> list[Any]:
    """The variables that training changes: weights, random states, the optimiser."""
    return [*model.variables, *model.optimizer.variables]


def arrays(variables: list[Any]) -> list[NDArray[Any]]:
    """A copy of what Keras variables hold."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def restore(variables: list[Any], saved: list[NDArray[Any]]) -> None:
    """Put back what `arrays` gave."""
    for variable, value in zip(variables, saved, strict=True):
        variable.assign(value)
