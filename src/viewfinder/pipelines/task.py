"""What an optimisation is asked for, and what it is made of."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Dataset, Split
from viewfinder.datasets.reading import read_pixels
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.modeling.backbones import Backbone
from viewfinder.pipelines.material import Material
from viewfinder.pipelines.variants.graphs import FLOAT32
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.sealing import MOST_DROP
from viewfinder.pipelines.workplace import Workplace, described_weights, packages
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Calibration
from viewfinder.shared.side_by_side import side_by_side
from viewfinder.training.examples import Examples


@dataclass(frozen=True, slots=True)
class OptimizeOptions:
    """What is to be tried beside the conversions, which cost no training.

    Attributes:
        max_drop: Accuracy that the recommended variant may lose, 0-1.
        prune: The share of weights to set to zero, 0-1; None to leave them.
        distill: The backbone of a smaller model to teach; None for no other.
        student_weights: What that begins with: `imagenet`, `none`, or a file.
        epochs: Of pruning and of teaching; chosen by the number of photos if not said.
        rounds: How often each graph is timed, in turns; the median counts.
        seed: Of everything that is left to chance.
    """

    max_drop: float = MOST_DROP
    prune: float | None = None
    distill: str | None = None
    student_weights: str = "imagenet"
    epochs: int | None = None
    rounds: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for, and what it is made of."""

    bundle: Bundle
    options: OptimizeOptions
    workplace: Workplace
    dataset: Dataset
    material: Material
    backbone: Backbone

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's, in the order of its output."""
        return tuple(label.name for label in self.bundle.manifest.labels)

    @property
    def labelled(self) -> bool:
        """Whether the photos' labels are the model's."""
        return set(self.material.labels) <= set(self.labels)

    @property
    def as_trained(self) -> bool:
        """Whether these are the photos of its training, divided as they were then."""
        known = self.bundle.manifest.provenance.get("dataset")
        return isinstance(known, dict) and known.get("digest") == self.material.digest

    @property
    def key(self) -> str:
        """The same for a run that is to go on where it was, and for no other."""
        weights = described_weights(self.options.student_weights)
        asked = {
            **asdict(self.options),
            "max_drop": None,
            "rounds": None,
            "student_weights": weights,
        }
        said = [self.bundle.digest, self.material.digest, asked, packages()]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def judges(self) -> Judges:
        """The photos to measure with."""
        return Judges(
            validation=self.material.of("validation"),
            test=self.material.of("test"),
            labels=self.labels,
            limits=self.workplace.limits,
            threads=self.workplace.threads,
            root=self.dataset.root,
            seed=self.options.seed,
            labelled=self.labelled,
            device=self.workplace.device,
            cache=self.workplace.compiled,
            calibration=_calibration(self.bundle),
        )

    def examples(self, split: Split) -> Examples:
        """The photos of a split with the places of their classes in the model's output."""
        places = {label: place for place, label in enumerate(self.labels)}
        targets = [places.get(photo.label, 0) for photo in self.material.of(split)]
        rows = self.material.rows(split)
        return Examples(self.material.pixels, rows, np.array(targets, np.int64))

    def judging(self) -> Examples:
        """What graphs are told apart by while they are made: new photos, if there are any."""
        splits: tuple[Split, ...] = ("validation", "test", "train")
        return next(some for split in splits if len(some := self.examples(split)))

    def representative(self, spec: PreprocessSpec) -> list[NDArray[np.uint8]]:
        """Photos to calibrate with, spread over all that was learned from, uint8 `[S, S, 3]`."""
        train, limits = self.material.of("train"), self.workplace.limits
        photos = [train[place] for place in self.material.representative.tolist()]
        found = side_by_side(
            lambda photo: read_pixels(photo, spec, limits), photos, threads=self.workplace.threads
        )
        return [pixels for pixels in found if pixels is not None]


def _calibration(bundle: Bundle) -> Calibration:
    """Of the graph as trained; of a version without it, that of the one that serves."""
    variants = {variant.name: variant for variant in bundle.manifest.variants}
    return variants.get(FLOAT32, bundle.manifest.variant()).calibration
