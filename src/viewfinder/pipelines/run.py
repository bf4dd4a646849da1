"""A training run: what is asked for, what it is made of, and what is written about it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from viewfinder.datasets.photos import Dataset
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.report.page import render_report
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.pipelines.material import Material
from viewfinder.pipelines.original import WEIGHTS
from viewfinder.pipelines.publish import add_numbered
from viewfinder.pipelines.variants.sealing import Sealed
from viewfinder.pipelines.workplace import Workplace, described_weights, epoch_row, packages
from viewfinder.registry.bundle import Bundle, describe
from viewfinder.registry.manifest import Label, Manifest
from viewfinder.shared.machine import machine
from viewfinder.training.options import TrainingOptions
from viewfinder.training.progress import Epoch

EVALUATION, REPORT = "evaluation.json", "report.html"


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
