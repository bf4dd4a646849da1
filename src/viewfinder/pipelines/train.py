"""From a folder of photos to a published, measured model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from viewfinder.conversion.quantization import quantize_int8
from viewfinder.datasets.reading import read_pixels
from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import ConversionError, InvalidParameterError, MissingExtraError
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.evaluate import targets_of
from viewfinder.evaluation.ladder import LeftOut
from viewfinder.evaluation.report.verdict import count
from viewfinder.modeling.backbones import BACKBONES, Head, check_backbone
from viewfinder.modeling.saving import pack_weights
from viewfinder.pipelines.material import Material, prepare
from viewfinder.pipelines.run import Job, publish_run
from viewfinder.pipelines.sources import remember_source
from viewfinder.pipelines.variants.graphs import FLOAT32, INT8, litert, one_file
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.sealing import Sealed, seal
from viewfinder.pipelines.workplace import Workplace, geometry
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.store import look
from viewfinder.training.examples import Examples
from viewfinder.training.options import MOST_SEED, TrainingOptions
from viewfinder.training.progress import Attentive, Listener
from viewfinder.training.run import RunFolder
from viewfinder.types import is_model_name

if TYPE_CHECKING:
    from viewfinder.datasets.photos import Split
    from viewfinder.training.trainer import Beginning, Learned

_CHECKED = 32


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
    heard = Attentive(listener, should_stop)
    if options.weights == "none" and not options.fine_tune:
        heard.note("The features stay random (--weights none, --no-fine-tune): expect little.")
    # A store that cannot be reached or written is better known now than at the end.
    look(workplace.store)
    workplace.store.check_writable(name)
    dataset = read_dataset(source)
    heard.phase("model", 0)
    beginning = _begin(options, len(dataset.labels))  # so is a file of weights that is not there
    heard.phase("photos", len(dataset.photos))
    material = prepare(
        dataset,
        geometry(BACKBONES[options.backbone], larger=True),
        workplace.home / "cache" / "pixels",
        limits=workplace.limits,
        threads=workplace.threads,
        seed=options.seed,
        progress=lambda done, of: heard.step(done * len(dataset.photos) // of),
    )
    remember_source(workplace.home, material.digest, source)
    _tell(material, heard)
    job = Job(dataset, name, options, workplace, material, now())
    run = RunFolder(workplace.home / "runs" / name / job.key)
    with run.held():
        deadline = start + options.budget_s if options.budget_s is not None else None
        learned = _Training(job, run, heard, should_stop, clock).learn(beginning, deadline)
        sealed, checked = _seal(job, learned, heard)
        took = clock() - start
        weights = pack_weights(learned.model)
        bundle, evaluation = publish_run(
            job, learned.history, sealed, checked, weights=weights, seconds=took
        )
        run.drop()
    return Trained(bundle, evaluation, took, job.logs)


def _check(name: str, options: TrainingOptions) -> None:
    if not is_model_name(name):
        raise InvalidParameterError(f"{name!r} cannot be a model's name: 1-64 of a-z 0-9 . _ -")
    check_backbone(options.backbone)
    if options.head not in get_args(Head):
        raise InvalidParameterError(f"there is no head {options.head!r}: linear or mlp")
    if options.epochs is not None and options.epochs < 1:
        raise InvalidParameterError("epochs: at least 1")
    if options.budget_s is not None and not options.budget_s > 0:
        raise InvalidParameterError("a budget is more than no time at all")
    if not 0 <= options.seed <= MOST_SEED:
        raise InvalidParameterError(f"a seed is a number from 0 to {MOST_SEED}")
    if util.find_spec("tensorflow") is None:
        raise MissingExtraError("Training", "train")


def _begin(options: TrainingOptions, classes: int) -> "Beginning":
    # Imported here: TensorFlow takes seconds.
    from viewfinder.training.trainer import begin

    return begin(options, classes)


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
    if not material.of("validation"):
        listener.note(
            "There are no validation photos: nothing says when to stop, or how sure to be."
        )
    elif not material.of("test"):
        listener.note("There are no test photos: what is told comes from the validation photos.")


@dataclass(frozen=True, slots=True)
class _Training:
    """The work between the photos and the finished Keras model."""

    job: Job
    run: RunFolder
    listener: Listener
    should_stop: Callable[[], bool]
    clock: Callable[[], float]

    def learn(self, beginning: "Beginning", deadline: float | None) -> "Learned":
        from viewfinder.training.logs import TensorBoardLog
        from viewfinder.training.trainer import Trainer

        material = self.job.material
        train, validation = (
            Examples(material.pixels, material.rows(split), material.targets(split))
            for split in ("train", "validation")
        )
        with TensorBoardLog(self.job.logs, self.listener) as log:
            trainer = Trainer(
                beginning,
                train,
                validation,
                len(material.labels),
                self.job.options,
                run=self.run,
                listener=log,
                should_stop=self.should_stop,
                threads=self.job.workplace.threads,
                clock=self.clock,
            )
            return trainer.learn(deadline, to_judge=len(validation) + len(material.of("test")))


def _seal(job: Job, learned: "Learned", listener: Listener) -> tuple[Sealed, dict[str, Any]]:
    """Turn the model into graphs, measure them, and check them against Keras."""
    listener.phase("converting", 0)
    spec = geometry(job.backbone)
    float32, head = litert(learned.model)
    graphs, left_out = [one_file(FLOAT32, float32, spec, head=head)], []
    if job.options.int8:
        try:
            int8 = quantize_int8(float32, _representative(job))
            graphs.append(one_file(INT8, int8, spec, head=head))
        except ConversionError as error:
            left_out.append(LeftOut(name=INT8, why=error.detail.rstrip(".")))
            listener.note(f"There is no int8 variant: {error.detail}.")
    sealed = seal(graphs, _judges(job), listener=listener, left_out=left_out)
    return sealed, _check_conversion(job, learned, sealed)


def _representative(job: Job) -> list[Any]:
    """Photos to calibrate int8 with: spread over all that was learned from."""
    train = job.material.rows("train")
    examples = Examples(job.material.pixels, train, np.zeros(len(train), np.int64))
    return list(examples.centre(job.material.representative))


def _judges(job: Job) -> Judges:
    return Judges(
        validation=job.material.of("validation"),
        test=job.material.of("test"),
        labels=job.material.labels,
        limits=job.workplace.limits,
        threads=job.workplace.threads,
        root=job.dataset.root,
        seed=job.options.seed,
        device=job.workplace.device,
        cache=job.workplace.compiled,
    )


def _check_conversion(job: Job, learned: "Learned", sealed: Sealed) -> dict[str, Any]:
    """What Keras itself says of some photos, beside what the float32 graph says."""
    split: Split = "test" if "test" in sealed.reference else "validation"
    scored = sealed.reference[split]
    limits, spec = job.workplace.limits, geometry(job.backbone)
    read = {
        place: pixels
        for place, photo in enumerate(scored.photos[:_CHECKED])
        if (pixels := read_pixels(photo, spec, limits)) is not None
    }
    if not read:  # they are gone; what has been learned from them is not
        return {"photos": 0, "split": split}
    places = list(read)
    logits = np.asarray(learned.model(np.stack(list(read.values())), training=False))
    graph = scored.scores[places]
    targets = targets_of([scored.photos[place] for place in places], job.material.labels)
    return {
        "photos": len(places),
        "split": split,
        "accuracy": float((logits.argmax(axis=1) == targets).mean()),
        "accuracy_of_float32": float((graph.argmax(axis=1) == targets).mean()),
        "largest_difference_of_logits": float(np.abs(logits - graph).max()),
    }
