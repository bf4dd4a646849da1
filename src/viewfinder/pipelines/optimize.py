"""From a version of a model to one that holds smaller and quicker graphs of it, all measured."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib import util
from pathlib import Path
from typing import Any

from viewfinder.datasets.photos import Dataset
from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import DatasetError, InvalidParameterError, MissingExtraError
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.report.page import render_ladder, render_report
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.modeling.saving import pack_weights
from viewfinder.pipelines.material import Material, prepare
from viewfinder.pipelines.original import WEIGHTS, original_backbone, original_model
from viewfinder.pipelines.publish import add_numbered
from viewfinder.pipelines.retraining import Retrained, retrain
from viewfinder.pipelines.run import EVALUATION, REPORT
from viewfinder.pipelines.sources import recall_source
from viewfinder.pipelines.task import OptimizeOptions, Task
from viewfinder.pipelines.variants.graphs import FLOAT32
from viewfinder.pipelines.variants.rungs import STEPS, Rungs
from viewfinder.pipelines.variants.sealing import Sealed, seal
from viewfinder.pipelines.variants.worth import Worth
from viewfinder.pipelines.workplace import Workplace, epoch_row, geometry, packages
from viewfinder.registry.bundle import Bundle, describe
from viewfinder.registry.manifest import Manifest
from viewfinder.shared.machine import machine
from viewfinder.training.options import MOST_SEED
from viewfinder.training.progress import Attentive, Listener

LADDER = "ladder.json"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Optimized:
    """What came of it.

    Attributes:
        bundle: The new version, as it is in the store.
        parent: The version that it was made of.
        sealed: All that was measured.
        seconds: That it took.
    """

    bundle: Bundle
    parent: Bundle
    sealed: Sealed
    seconds: float


def optimize(
    bundle: Bundle,
    options: OptimizeOptions,
    workplace: Workplace,
    *,
    data: Path | None,
    listener: Listener,
    now: Callable[[], datetime],
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Optimized:
    """Make every graph of a model that can be made, measure each, and publish them together.

    Nothing is published unless all of it succeeds: what serves now goes on to serve. Pruning and
    teaching that were stopped, or killed, go on where they were when called in the same way.

    Args:
        bundle: The version to begin with.
        options: How.
        workplace: Where.
        data: The photos to calibrate and measure with; those that it was trained with if not said.
        listener: Hears how it goes.
        now: The time of day.
        should_stop: Asked often; True ends it with `TrainingStoppedError`.
        clock: Seconds.

    Raises:
        InvalidParameterError: An option makes no sense.
        ConversionError: The model was made elsewhere, or no graph can be made of it.
        DatasetError: There are no photos, or none that suit.
        MissingExtraError: TensorFlow is not installed.
        WeightsError: There are no such weights for the smaller model.
        StoreError: The model store cannot be reached.
        TrainingError: Another process is at it, or the numbers got out of hand.
        TrainingStoppedError: It was asked for.
    """
    start = clock()
    _check(options)
    backbone = original_backbone(bundle)
    heard = Attentive(listener, should_stop)
    workplace.store.check_writable(bundle.manifest.name)
    source = data or recall_source(workplace.home, bundle.manifest.provenance)
    if source is None:
        raise DatasetError(
            "nobody remembers where the photos are that it was trained with: give some with --data"
        )
    dataset = read_dataset(source, to_learn=False)
    heard.phase("model", 0)
    model = original_model(bundle)
    material = _material(bundle, backbone, dataset, workplace, heard)
    task = Task(bundle, options, workplace, dataset, material, backbone)
    _check_labels(task, heard)
    with ExitStack() as held:
        trained = retrain(task, model, held, listener=heard, should_stop=should_stop, clock=clock)
        heard.phase("converting", STEPS)
        rungs = _make(task, model, trained, heard)
        sealed = seal(
            rungs.graphs,
            task.judges(),
            listener=heard,
            max_drop=options.max_drop,
            rounds=options.rounds,
            left_out=rungs.left_out,
            notes=[*trained.notes, *rungs.notes],
        )
        took = clock() - start
        finished = Finished(task, trained, sealed, pack_weights(model), now(), took)
        published = add_numbered(workplace.store, bundle.manifest.name, finished.of_version)
        for run in trained.runs:
            run.drop()
    return Optimized(published, bundle, sealed, took)


def _check(options: OptimizeOptions) -> None:
    if not (math.isfinite(options.max_drop) and 0 <= options.max_drop <= 1):
        raise InvalidParameterError("the accuracy that may be lost is from 0 to 100 points")
    if options.prune is not None and not 0 < options.prune < 1:
        raise InvalidParameterError("the share of weights to prune lies between 0 and 1")
    if options.distill is not None and options.distill not in BACKBONES:
        raise InvalidParameterError(
            f"there is no backbone {options.distill!r}; `viewfinder models backbones` lists them"
        )
    if options.rounds < 1 or (options.epochs is not None and options.epochs < 1):
        raise InvalidParameterError("epochs and rounds: at least 1")
    if not 0 <= options.seed <= MOST_SEED:
        raise InvalidParameterError(f"a seed is a number from 0 to {MOST_SEED}")
    if util.find_spec("tensorflow") is None:
        raise MissingExtraError("Making other graphs of a model", "train")


def _material(
    bundle: Bundle, backbone: Backbone, dataset: Dataset, workplace: Workplace, heard: Listener
) -> Material:
    provenance = bundle.manifest.provenance
    seed = provenance.get("seed")
    heard.phase("photos", len(dataset.photos))
    return prepare(
        dataset,
        geometry(backbone, larger=True),
        workplace.home / "cache" / "pixels",
        limits=workplace.limits,
        threads=workplace.threads,
        # With the same seed, photos are divided as they were for training.
        seed=seed if isinstance(seed, int) else 0,
        progress=lambda done, of: heard.step(done * len(dataset.photos) // of),
    )


def _check_labels(task: Task, listener: Listener) -> None:
    """Say what the photos cannot tell, and refuse to teach what they do not show."""
    model, source = task.bundle.manifest.called, task.dataset.source
    learns = task.options.prune is not None or task.options.distill is not None
    if not task.labelled:
        strange = _some(set(task.material.labels) - set(task.labels))
        if learns:
            raise DatasetError(
                f"{source} has labels that {model} does not know ({strange}): nothing can be "
                "learned from them; leave out --prune and --distill"
            )
        listener.note(
            f"{model} does not know all labels of these photos ({strange}): agreement with "
            f"{FLOAT32} takes the place of accuracy."
        )
        return
    if lacking := set(task.labels) - set(task.material.labels):
        if learns:
            raise DatasetError(
                f"{source} has no photos of {_some(lacking)}: a model that learned from it would "
                "forget them; leave out --prune and --distill"
            )
        listener.note(f"Nothing is measured of {_some(lacking)}: there are no photos of them.")
    if not task.as_trained:
        listener.note(
            f"These are not the photos that {model} was trained with, or not as they "
            "were then: it may have learned from some that now measure it."
        )


def _some(labels: Collection[str]) -> str:
    """The first of them, and how many more there are."""
    named = ", ".join(map(repr, sorted(labels)[:_NAMED]))
    return f"{named} and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else named


def _make(task: Task, model: Any, trained: Retrained, listener: Listener) -> Rungs:
    """Make the graphs."""
    worth = Worth(task.judging(), labelled=task.labelled)
    rungs = Rungs(task.representative, worth.of, task.options.max_drop, listener)
    rungs.convert(model, geometry(task.backbone))
    if trained.pruned is not None:
        rungs.prune(trained.pruned, geometry(task.backbone))
    if trained.student is not None and task.options.distill is not None:
        rungs.distill(trained.student, geometry(BACKBONES[task.options.distill]))
    return rungs


@dataclass(frozen=True, slots=True)
class Finished:
    """All that a new version is made of."""

    task: Task
    trained: Retrained
    sealed: Sealed
    weights: bytes
    created: datetime
    seconds: float

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the parent came from, and what was done to it."""
        parent, task = self.task.bundle.manifest, self.task
        return {
            **parent.provenance,
            "parent": parent.version,
            "optimized": {
                "dataset": {"name": task.dataset.name, **task.material.facts()},
                "max_drop": self.sealed.ladder.max_drop,
                **self.trained.facts,
                "seconds": round(self.seconds, 1),
                "machine": machine(),
                "packages": packages(),
            },
        }

    def of_version(self, version: int) -> tuple[Manifest, Mapping[str, bytes]]:
        """The manifest and the files of a version with this number."""
        parent, sealed = self.task.bundle.manifest, self.sealed
        documents = {**self._documents(version), WEIGHTS: self.weights}
        manifest = Manifest(
            name=parent.name,
            version=version,
            created=self.created,
            labels=parent.labels,
            variants=sealed.variants,
            recommended=sealed.recommended.name,
            evaluation={
                **{split: found.summary() for split, found in sealed.splits.items()},
                "chosen_by": sealed.ladder.model_dump(
                    include={"reference", "max_drop", "basis", "photos"}
                ),
            },
            documents=tuple(describe(path, data) for path, data in documents.items()),
            provenance=self.provenance,
        )
        return manifest, {**sealed.contents, **documents}

    def _documents(self, version: int) -> dict[str, bytes]:
        """What people and tools may want to read."""
        name, ladder = self.task.bundle.manifest.name, self.sealed.ladder
        if not self.sealed.splits:
            report = render_ladder(ladder, f"{name}@{version}", self.created)
            return {LADDER: ladder.model_dump_json(indent=1).encode(), REPORT: report.encode()}
        evaluation = self._evaluation(version)
        report = render_report(
            evaluation, photos=self.task.dataset.root, limits=self.task.workplace.limits
        )
        return {
            EVALUATION: evaluation.model_dump_json(indent=1).encode(),
            REPORT: report.encode(),
        }

    def _evaluation(self, version: int) -> Evaluation:
        return Evaluation(
            name=self.task.bundle.manifest.name,
            version=version,
            variant=self.sealed.recommended.name,
            created=self.created,
            data=self.task.dataset.name,
            labels=len(self.task.labels),
            splits=dict(self.sealed.splits),
            unseen=self.task.as_trained,
            ladder=self.sealed.ladder,
            history=tuple(map(epoch_row, self.trained.history)),
            provenance=self.provenance,
        )
