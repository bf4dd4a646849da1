"""Which part of a model learns, and which stays as it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.modeling.cutting import cut_points, split_at
from viewfinder.training import devices
from viewfinder.training.frozen import Frozen, FrozenOnCpu, FrozenOnGpu

_FROZEN_STRIDE = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """A model cut in two.

    Attributes:
        frozen: What does not learn; None if all of it learns.
        upper: The `keras.Model` that learns, from what `frozen` gives (or uint8 photos) to logits.
    """

    frozen: Frozen | None
    upper: Any

    def seen(self, photos: NDArray[np.uint8]) -> NDArray[Any]:
        """What the upper part sees of photos, uint8 `[N, S, S, 3]`."""
        return photos if self.frozen is None else self.frozen(photos)


def parts_of(model: Any, threads: int, *, whole: bool = False) -> Parts:
    """Cut a model where training cuts it: on a CPU, not everything learns.

    Args:
        model: What `build_classifier` made.
        threads: Photos to work on side by side on a CPU.
        whole: Whether everything learns there too, because no weights are worth keeping.
    """
    border = None if whole or devices.gpus() else border_of(model)
    if border is None:
        return Parts(None, model)
    lower, upper = split_at(model, border)
    return Parts(freeze(lower, threads), upper)


def border_of(model: Any) -> str | None:
    """The layer up to which the model can stay as it is; None if it cannot be cut.

    Edges and textures, which the layers at an eighth of the photo's size and more tell, are the
    same whatever is shown.
    """
    kept = [
        name
        for name in cut_points(model)
        if model.get_layer(name).output.shape[1] * _FROZEN_STRIDE >= model.input_shape[1]
    ]
    return kept[-1] if kept else None


def freeze(model: Any, threads: int) -> Frozen:
    """A `keras.Model` that does not learn, in what runs it fastest here."""
    return FrozenOnGpu(model) if devices.gpus() else FrozenOnCpu(model, threads)
