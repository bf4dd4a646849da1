"""From a folder of photos to a published, measured model."""

import hashlib
import importlib
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from viewfinder import __version__
from viewfinder.datasets.reading import read_photo
from viewfinder.datasets.source import read_dataset
from viewfinder.errors import InvalidParameterError, MissingExtraError, TrainingStoppedError
from viewfinder.evaluation.evaluate import Epoch as EpochRow
from viewfinder.evaluation.evaluate import Evaluation, VariantRow, targets_of
from viewfinder.evaluation.report import render_report
from viewfinder.evaluation.verdict import count
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.pipelines.material import Material, prepare
from viewfinder.pipelines.publish import add_numbered
from viewfinder.pipelines.sealing import Judges, Sealed, convert, machine, seal
from viewfinder.registry.bundle import Bundle, describe
from viewfinder.registry.manifest import Label, Manifest
from viewfinder.registry.store import ModelStore, look, open_store
from viewfinder.settings import Limits, Settings
from viewfinder.training.examples import MARGIN, Examples
from viewfinder.training.options import TrainingOptions
from viewfinder.training.progress import Epoch, Listener, Phase
from viewfinder.training.run import RunFolder
from viewfinder.types import is_model_name

if TYPE_CHECKING:
    from viewfinder.datasets.photos import Split
    from viewfinder.training.trainer import Learned

EVALUATION, REPORT = "evaluation.json", "report.html"
STOPPED = "stopped; nothing is lost, the same command goes on from here"

_REPRESENTATIVE = 128
_CHECKED = 128
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
    """

    store: ModelStore
    home: Path
    limits: Limits
    threads: int


def workplace(settings: Settings) -> Workplace:
    """Where the settings say."""
    return Workplace(
        store=open_store(settings.store, settings.home),
        home=settings.home,
        limits=settings.limits,
        threads=settings.compute_threads,
    )


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it.

    Attributes:
        bundle: The version, as it is in the store.
        evaluation: All that is known about it.
        seconds: That it took, this time.
        logs: What TensorBoard draws.
    """

    bundle: Bundle
    evaluation: Evaluation
    seconds: float
    logs: Path


@dataclass(frozen=True, slots=True)
class _Job:
    """What is asked for, and what it is made of."""

    source: Path
    name: str
    options: TrainingOptions
    workplace: Workplace
    material: Material
    began: datetime

    @property
    def backbone(self) -> Backbone:
        return BACKBONES[self.options.backbone]

    @property
    def key(self) -> str:
        """The same for a run that is to go on where it was, and for no other."""
        asked = {**asdict(self.options), "budget_s": None}
        said = [self.name, self.material.digest, asked, _packages()]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def train(
    source: Path,
    name: str,
    options: TrainingOptions,
    workplace: Workplace,
    *,
    listener: Listener,
    now: Callable[[], datetime],
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train a model, measure it, and publish it as the next version of its name.

    A run that was stopped, or killed, goes on where it was when it is called in the same way.

    Args:
        source: A folder with a folder for each class, or a CSV or JSONL file.
        name: What the model is called.
        options: How.
        workplace: Where.
        listener: Hears how it goes.
        now: The time of day.
        should_stop: Asked often; True ends it with `TrainingStoppedError`.
        clock: Seconds.

    Raises:
        InvalidParameterError: The name or an option makes no sense.
        DatasetError: Nothing can be learned from these photos.
        MissingExtraError: TensorFlow is not installed.
        WeightsError: There are no such weights.
        StoreError: The model store cannot be reached.
        TrainingError: Another process is at it, or the numbers got out of hand.
        TrainingStoppedError: It was asked for.
    """
    start = clock()
    _check(name, options)
    heard = _Attentive(listener, should_stop)
    look(workplace.store)  # a store that cannot be reached is better known now than at the end
    importing = _import_meanwhile()
    dataset = read_dataset(source)
    heard.phase("photos", 2 * len(dataset.photos))
    material = prepare(
        dataset,
        _spec(BACKBONES[options.backbone], larger=True),
        workplace.home / "cache" / "pixels",
        limits=workplace.limits,
        threads=workplace.threads,
        seed=options.seed,
        progress=lambda done, _: heard.step(done),
    )
    job = _Job(source, name, options, workplace, material, now())
    _tell(material, heard)
    importing.result()
    run = RunFolder(workplace.home / "runs" / name / job.key)
    logs = workplace.home / "logs" / name / job.key
    with run.held():
        deadline = start + options.budget_s if options.budget_s is not None else None
        learned = _learn(
            job,
            run,
            logs,
            listener=heard,
            should_stop=should_stop,
            deadline=deadline,
            clock=clock,
        )
        heard.phase("converting", 0)
        graphs = convert(learned.model, _representative(job), int8=options.int8, note=heard.note)
        judges = _judges(job)
        heard.phase("evaluating", len(graphs) * len(judges.validation) + len(judges.test))
        sealed = seal(
            graphs, _spec(job.backbone), judges, progress=lambda done, _: heard.step(done)
        )
        checked = _check_conversion(job, learned, sealed)
        took = clock() - start
        bundle, evaluation = _publish(job, learned, sealed, checked, took)
    run.drop()
    return Trained(bundle, evaluation, took, logs)


def _check(name: str, options: TrainingOptions) -> None:
    if not is_model_name(name):
        raise InvalidParameterError(f"{name!r} cannot be a model's name: 1-64 of a-z 0-9 . _ -")
    if options.backbone not in BACKBONES:
        raise InvalidParameterError(
            f"there is no backbone {options.backbone!r}; `viewfinder models backbones` lists them"
        )
    if util.find_spec("tensorflow") is None:
        raise MissingExtraError("Training", "train")


def _import_meanwhile() -> Future[object]:
    """Import TensorFlow, which takes seconds, while the photos are read."""
    pool = ThreadPoolExecutor(1, "import")
    importing: Future[object] = pool.submit(importlib.import_module, "viewfinder.training.trainer")
    pool.shutdown(wait=False)
    return importing


def _spec(backbone: Backbone, *, larger: bool = False) -> PreprocessSpec:
    """The geometry of serving; or, larger, the same with the margin that a crop can move in.

    The centre of the larger one is the other: the crop is what is left of the margin.
    """
    side = backbone.input_size
    if larger:
        return PreprocessSpec(width=side + MARGIN, height=side + MARGIN)
    return PreprocessSpec(width=side, height=side, crop_fraction=side / (side + MARGIN))


def _tell(material: Material, listener: Listener) -> None:
    """What a person should know of the photos before minutes are spent on them."""
    if material.skipped:
        first = material.skipped[0]
        listener.note(
            f"{count(len(material.skipped), 'photo')} cannot be used and will be left out; "
            f"{first.photo.path}: {first.reason}"
        )
    if material.straddling:
        listener.note(
            f"Of the validation and test photos, {material.straddling} are, or look, the same as "
            "one learned from: `viewfinder data check` lists them."
        )
    if not material.of("test"):
        listener.note("There are no test photos: what is told comes from the validation photos.")


def _learn(
    job: _Job,
    run: RunFolder,
    logs: Path,
    *,
    listener: Listener,
    should_stop: Callable[[], bool],
    deadline: float | None,
    clock: Callable[[], float],
) -> "Learned":
    from viewfinder.training.logs import TensorBoardLog
    from viewfinder.training.trainer import Trainer

    material = job.material
    train, validation = (
        Examples(material.pixels, material.rows(split), material.targets(split))
        for split in ("train", "validation")
    )
    with TensorBoardLog(logs, listener) as log:
        trainer = Trainer(
            train,
            validation,
            len(material.labels),
            job.options,
            run=run,
            listener=log,
            should_stop=should_stop,
            threads=job.workplace.threads,
            clock=clock,
        )
        return trainer.learn(deadline, to_judge=len(validation) + len(material.of("test")))


def _representative(job: _Job) -> list[Any]:
    """Photos to calibrate int8 with: spread over all that was learned from."""
    train = job.material.rows("train")
    examples = Examples(job.material.pixels, train, np.zeros(len(train), np.int64))
    chosen = np.linspace(0, len(train) - 1, min(len(train), _REPRESENTATIVE)).astype(np.int64)
    return list(examples.centre(chosen))


def _judges(job: _Job) -> Judges:
    return Judges(
        validation=job.material.of("validation"),
        test=job.material.of("test"),
        labels=job.material.labels,
        limits=job.workplace.limits,
        threads=job.workplace.threads,
        root=_root(job.source),
        seed=job.options.seed,
    )


def _root(source: Path) -> Path:
    return source if source.is_dir() else source.parent


def _check_conversion(job: _Job, learned: "Learned", sealed: Sealed) -> dict[str, Any]:
    """What Keras itself says of some photos, beside what the float32 graph says."""
    split: Split = "test" if "test" in sealed.float32 else "validation"
    scored = sealed.float32[split]
    chosen, graph = scored.photos[:_CHECKED], scored.scores[:_CHECKED]
    limits, spec = job.workplace.limits, _spec(job.backbone)
    pixels = [preprocess(read_photo(p.path, limits.image_bytes), spec, limits) for p in chosen]
    logits = np.asarray(learned.model.predict(np.stack(pixels), verbose=0))
    targets = targets_of(chosen, job.material.labels)
    return {
        "photos": len(chosen),
        "split": split,
        "accuracy": float((logits.argmax(axis=1) == targets).mean()),
        "accuracy_of_float32": float((graph.argmax(axis=1) == targets).mean()),
        "largest_difference_of_logits": float(np.abs(logits - graph).max()),
    }


def _publish(
    job: _Job, learned: "Learned", sealed: Sealed, checked: Mapping[str, Any], seconds: float
) -> tuple[Bundle, Evaluation]:
    """Add the next version, with its report."""
    made: list[Evaluation] = []

    def make(version: int) -> tuple[Manifest, Mapping[str, bytes]]:
        provenance = _provenance(job, learned, version, seconds)
        evaluation = Evaluation(
            name=job.name,
            version=version,
            variant=sealed.recommended.name,
            created=job.began,
            data=job.source.resolve().name,
            labels=len(job.material.labels),
            splits=dict(sealed.splits),
            unseen=True,
            variants=tuple(
                VariantRow(
                    name=variant.name,
                    bytes=variant.file.bytes,
                    accuracy=variant.accuracy,
                    p50_ms=variant.latency.p50_ms if variant.latency else None,
                )
                for variant in sealed.variants
            ),
            keras=dict(checked),
            history=tuple(map(_row, learned.history)),
            provenance=provenance,
        )
        made.append(evaluation)
        documents = {
            EVALUATION: evaluation.model_dump_json(indent=1).encode(),
            REPORT: render_report(
                evaluation, photos=_root(job.source), limits=job.workplace.limits
            ).encode(),
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


def _row(epoch: Epoch) -> EpochRow:
    return EpochRow(
        phase=epoch.phase,
        epoch=epoch.number,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
        validation_accuracy=epoch.validation_accuracy,
        learning_rate=epoch.learning_rate,
    )


def _provenance(job: _Job, learned: "Learned", version: int, seconds: float) -> dict[str, Any]:
    options = job.options
    weights = options.weights
    return {
        "dataset": {"name": job.source.resolve().name, **job.material.facts()},
        "backbone": options.backbone,
        "weights": weights if weights in {"imagenet", "none"} else Path(weights).name,
        "head": options.head,
        "fine_tuned": any(epoch.phase == "fine-tuning" for epoch in learned.history),
        "epochs": len([epoch for epoch in learned.history if epoch.phase == "fine-tuning"]),
        "seed": options.seed,
        "budget_s": options.budget_s,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "parent": version - 1 or None,
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    found = {"viewfinder": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class _Attentive:
    """Passes on what it hears, and ends the work if somebody has asked for it."""

    def __init__(self, listener: Listener, should_stop: Callable[[], bool]) -> None:
        self._listener = listener
        self._should_stop = should_stop
        self._fine_tuning = False

    def phase(self, name: Phase, total: int) -> None:
        # Fine-tuning stops by itself, once it has put its state aside.
        self._fine_tuning = name == "fine-tuning"
        self._stop_if_asked()
        self._listener.phase(name, total)

    def step(self, done: int) -> None:
        self._stop_if_asked()
        self._listener.step(done)

    def epoch(self, epoch: Epoch) -> None:
        self._listener.epoch(epoch)

    def note(self, text: str) -> None:
        self._listener.note(text)

    def _stop_if_asked(self) -> None:
        if self._should_stop() and not self._fine_tuning:
            raise TrainingStoppedError(STOPPED)
