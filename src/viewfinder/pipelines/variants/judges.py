"""The photos that graphs are measured with, and what is to be known of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from viewfinder.datasets.photos import Photo
from viewfinder.engines.base import Device
from viewfinder.registry.manifest import (
    Calibration,
)
from viewfinder.settings import Limits

_UNKNOWN = Calibration()


@dataclass(frozen=True, slots=True)
class Judges:
    """The photos that variants are measured with.

    Attributes:
        validation: Those that calibrate and choose.
        test: Those that nothing has been chosen by; may be none.
        labels: Every class, in the order of the model's output.
        limits: What will be decoded.
        threads: Photos to work on side by side.
        root: The folder from which a photo's path is told.
        seed: Of the resampling behind intervals.
        labelled: Whether the photos' labels are the model's. If not, nobody knows what is right:
            variants are told apart by whether they answer as the first one does.
        device: Where to run, for engines that have the choice.
        cache: A folder for what they compile; None keeps nothing.
        calibration: What variants get where nobody knows what is right.
    """

    validation: tuple[Photo, ...]
    test: tuple[Photo, ...]
    labels: tuple[str, ...]
    limits: Limits
    threads: int
    root: Path
    seed: int
    labelled: bool = True
    device: Device = "cpu"
    cache: Path | None = None
    calibration: Calibration = _UNKNOWN

    @property
    def basis(self) -> Literal["accuracy", "agreement", "nothing"]:
        """What a choice can go by."""
        if not self.validation:
            return "nothing"
        return "accuracy" if self.labelled else "agreement"
