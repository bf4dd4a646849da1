"""What a person can say about how a model is to be trained."""

from dataclasses import dataclass

from viewfinder.modeling.backbones import Head

MOST_SEED = 2**32 - 1
"""The largest that Keras and NumPy take."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How to train; every default is meant to be good for any set of photos.

    Attributes:
        backbone: A preset of `modeling.backbones`.
        weights: `imagenet`, `none`, or the path of a file.
        head: One dense layer, or a hidden layer of 1,024 before it.
        fine_tune: Whether the upper blocks of the backbone learn too, after the head.
        epochs: Times that every photo is looked at in the last phase; chosen by their number if
            not said.
        budget_s: Seconds that the whole may take; None for as long as it takes.
        seed: Of everything that is left to chance.
        int8: Whether the model is quantised as well.
    """

    backbone: str = "efficientnet-lite0"
    weights: str = "imagenet"
    head: Head = "linear"
    fine_tune: bool = True
    epochs: int | None = None
    budget_s: float | None = None
    seed: int = 0
    int8: bool = True
