"""A training run: what is asked for, what it is made of, and what is written about it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from viewfinder import __version__
from viewfinder.datasets.photos import Dataset
from viewfinder.engines.base import Device
from viewfinder.evaluation.document import Epoch as EpochRow
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.report.page import render_report
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.pipelines.material import Material
from viewfinder.pipelines.original import WEIGHTS
from viewfinder.pipelines.publish import add_numbered
from viewfinder.pipelines.variants.sealing import Sealed
from viewfinder.registry.bundle import Bundle, describe, file_sha256
from viewfinder.registry.manifest import Label, Manifest
from viewfinder.registry.store import ModelStore, open_store
from viewfinder.settings import Limits, Settings
from viewfinder.shared.machine import machine
from viewfinder.shared.plain import encodable
from viewfinder.training.examples import MARGIN
from viewfinder.training.options import TrainingOptions
from viewfinder.training.progress import Epoch

EVALUATION, REPORT = "evaluation.json", "report.html"
_PACKAGES = (
    "ai-edge-litert",
    "keras",
    "litert-quantizer",
    "numpy",
    "pillow",
    "tensorflow",
    "tensorflow-cpu",
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where training works, and with what.

    Attributes:
        store: Where the model is published.
        home: The data home: caches, the state of runs, logs.
        limits: What will be decoded.
        threads: Photos to work on side by side.
        device: Where graphs are to run, for engines that have the choice.
    """

    store: ModelStore
    home: Path
    limits: Limits
    threads: int
    device: Device = "cpu"

    @property
    def compiled(self) -> Path:
        """What engines compile is kept here, as a server keeps it."""
        return self.home / "compiled"


def described_weights(weights: str) -> str | dict[str, str]:
    """As they were said; a file by its name, for people, and its contents, for certainty."""
    path = Path(weights)
    if weights in {"imagenet", "none"} or not path.is_file():
        return weights
    return {"file": encodable(path.name), "sha256": file_sha256(path)}


def workplace(settings: Settings) -> Workplace:
    """Where the settings say."""
    return Workplace(
        store=open_store(settings.store, settings.home),
        home=settings.home,
        limits=settings.limits,
        threads=settings.compute_threads,
        device=settings.device,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for, and what it is made of."""

    dataset: Dataset
    name: str
    options: TrainingOptions
    workplace: Workplace
    material: Material
    began: datetime

    @property
    def backbone(self) -> Backbone:
        """What is trained."""
        return BACKBONES[self.options.backbone]

    @property
    def logs(self) -> Path:
        """Where its curves go."""
        return self.workplace.home / "logs" / self.name / self.key

    @property
    def key(self) -> str:
        """The same for a run that is to go on where it was, and for no other."""
        asked = {
            **asdict(self.options),
            "budget_s": None,
            "weights": described_weights(self.options.weights),
        }
        said = [self.name, self.material.digest, asked, packages()]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def geometry(backbone: Backbone, *, larger: bool = False) -> PreprocessSpec:
    """The geometry of serving; or, larger, the same with the margin that a crop can move in.

    The centre of the larger one is the other: the crop is what is left of the margin.
    """
    side = backbone.input_size
    if larger:
        return PreprocessSpec(width=side + MARGIN, height=side + MARGIN)
    return PreprocessSpec(width=side, height=side, crop_fraction=side / (side + MARGIN))


def publish_run(
    job: Job,
    history: Sequence[Epoch],
    sealed: Sealed,
    checked: Mapping[str, Any],
    *,
    weights: bytes,
    seconds: float,
) -> tuple[Bundle, Evaluation]:
    """Add the next version, with its report, and the weights that other graphs can be made of."""
    made: list[Evaluation] = []

    def make(version: int) -> tuple[Manifest, Mapping[str, bytes]]:
        provenance = _provenance(job, history, version, seconds)
        evaluation = Evaluation(
            name=job.name,
            version=version,
            variant=sealed.recommended.name,
            created=job.began,
            data=job.dataset.name,
            labels=len(job.material.labels),
            splits=dict(sealed.splits),
            unseen=True,
            ladder=sealed.ladder,
            keras=dict(checked),
            history=tuple(map(epoch_row, history)),
            provenance=provenance,
        )
        made.append(evaluation)
        documents = {
            EVALUATION: evaluation.model_dump_json(indent=1).encode(),
            REPORT: render_report(
                evaluation, photos=job.dataset.root, limits=job.workplace.limits
            ).encode(),
            WEIGHTS: weights,
        }
        manifest = Manifest(
            name=job.name,
            version=version,
            created=job.began,
            labels=tuple(Label(name=label) for label in job.material.labels),
            variants=sealed.variants,
            recommended=sealed.recommended.name,
            evaluation={
                **{split: found.summary() for split, found in sealed.splits.items()},
                "keras": dict(checked),
            },
            documents=tuple(describe(path, data) for path, data in documents.items()),
            provenance=provenance,
        )
        return manifest, {**sealed.contents, **documents}

    bundle = add_numbered(job.workplace.store, job.name, make)
    return bundle, made[-1]


def epoch_row(epoch: Epoch) -> EpochRow:
    """An epoch, for an evaluation."""
    return EpochRow(
        phase=epoch.phase,
        epoch=epoch.number,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
        validation_accuracy=epoch.validation_accuracy,
        learning_rate=epoch.learning_rate,
    )


def _provenance(job: Job, history: Sequence[Epoch], version: int, seconds: float) -> dict[str, Any]:
    options = job.options
    return {
        "dataset": {"name": job.dataset.name, **job.material.facts()},
        "backbone": options.backbone,
        "weights": described_weights(options.weights),
        "head": options.head,
        "fine_tuned": any(epoch.phase == "fine-tuning" for epoch in history),
        "epochs": len([epoch for epoch in history if epoch.phase == "fine-tuning"]),
        "seed": options.seed,
        "budget_s": options.budget_s,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "parent": version - 1 or None,
        "packages": packages(),
    }


def packages() -> dict[str, str]:
    """The versions of what decides how a model turns out."""
    found = {"viewfinder": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
