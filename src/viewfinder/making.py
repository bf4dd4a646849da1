"""Models made and measured in Python: `viewfinder.train`, `optimize` and `evaluate`."""

from datetime import UTC, datetime
from pathlib import Path

from viewfinder.datasets.sources.source import read_dataset
from viewfinder.evaluation.document import Evaluation, Part
from viewfinder.modeling.backbones import Head
from viewfinder.pipelines.evaluate import evaluate_model
from viewfinder.pipelines.optimize import Optimized
from viewfinder.pipelines.optimize import optimize as carry_out_optimization
from viewfinder.pipelines.task import OptimizeOptions
from viewfinder.pipelines.train import Trained
from viewfinder.pipelines.train import train as carry_out
from viewfinder.pipelines.workplace import workplace
from viewfinder.registry.store import look, open_store
from viewfinder.settings import load_settings
from viewfinder.training.options import TrainingOptions
from viewfinder.training.progress import Listener, Logged


def train(
    photos: str | Path,
    name: str,
    *,
    backbone: str = "efficientnet-lite0",
    weights: str | Path = "imagenet",
    head: Head = "linear",
    fine_tune: bool = True,
    epochs: int | None = None,
    budget_s: float | None = None,
    seed: int = 0,
    int8: bool = True,
    store: str | Path | None = None,
    listener: Listener | None = None,
) -> Trained:
    """Train a model, measure it, and publish it, as `viewfinder train` does.

    A run that was interrupted goes on when it is called in the same way.

    Example:
        >>> trained = viewfinder.train("photos/", "shoes", budget_s=600)
        >>> trained.evaluation.result.accuracy.value
        0.93
        >>> viewfinder.Classifier.load("shoes")("photo.jpg").top.label
        'sandal'

    Args:
        photos: A folder with a folder for each class, or a CSV or JSONL file.
        name: What the model is called.
        backbone: See `viewfinder models backbones`.
        weights: `imagenet`, `none`, or a file.
        head: `linear`, or `mlp` with a hidden layer of 1,024.
        fine_tune: Whether the upper blocks learn too, after the head.
        epochs: Chosen by the number of photos if not given.
        budget_s: Seconds that it may take.
        seed: Of everything left to chance.
        int8: Whether the model is quantised too.
        store: A folder of models, or `s3://bucket/prefix`; that of the settings if not given.
        listener: Hears how it goes; what it would hear goes to the log `viewfinder` if not given.

    Raises:
        OperatorError: It cannot begin, or not end: see `viewfinder.errors`.
        InvalidParameterError: An option makes no sense.
    """
    settings = load_settings(model_store=store)
    return carry_out(
        Path(photos),
        name,
        TrainingOptions(
            backbone=backbone,
            weights=str(weights),
            head=head,
            fine_tune=fine_tune,
            epochs=epochs,
            budget_s=budget_s,
            seed=seed,
            int8=int8,
        ),
        workplace(settings),
        listener=listener or Logged(),
        now=_now,
    )


def optimize(
    model: str,
    *,
    photos: str | Path | None = None,
    max_drop: float = 0.01,
    prune: float | None = None,
    distill: str | None = None,
    student_weights: str | Path = "imagenet",
    epochs: int | None = None,
    rounds: int = 3,
    seed: int = 0,
    store: str | Path | None = None,
    listener: Listener | None = None,
) -> Optimized:
    """Make smaller and quicker graphs of a model, measure each here, and publish them together.

    Example:
        >>> made = viewfinder.optimize("shoes", prune=0.7)
        >>> made.sealed.ladder.recommended
        'int8'

    Args:
        model: `name`, `name@3` or `name@alias`; Viewfinder trained it, or ships it.
        photos: To calibrate and measure with; those that it was trained with if not given.
        max_drop: Accuracy that the recommended variant may lose on the validation photos, 0-1.
        prune: The share of weights to set to zero, 0-1; None to leave them.
        distill: The backbone of a smaller model to teach; None for no other.
        student_weights: What that begins with: `imagenet`, `none`, or a file.
        epochs: Of pruning and of teaching; chosen by the number of photos if not given.
        rounds: How often each graph is timed, in turns; the median counts.
        seed: Of everything left to chance.
        store: A folder of models, or `s3://bucket/prefix`; that of the settings if not given.
        listener: Hears how it goes; what it would hear goes to the log `viewfinder` if not given.

    Raises:
        OperatorError: It cannot begin, or not end: see `viewfinder.errors`.
        RequestError: There is no such model or version, or an option makes no sense.
    """
    settings = load_settings(model_store=store)
    catalog = look(open_store(settings.store, settings.home))
    return carry_out_optimization(
        catalog.resolve(model),
        OptimizeOptions(
            max_drop=max_drop,
            prune=prune,
            distill=distill,
            student_weights=str(student_weights),
            epochs=epochs,
            rounds=rounds,
            seed=seed,
        ),
        workplace(settings),
        data=Path(photos) if photos is not None else None,
        listener=listener or Logged(),
        now=_now,
    )


def evaluate(
    model: str,
    photos: str | Path,
    *,
    against: str | None = None,
    split: Part | None = None,
    variant: str | None = None,
    known_only: bool = False,
    store: str | Path | None = None,
) -> Evaluation:
    """Measure a model on labelled photos with the code that serves it, as `viewfinder evaluate`.

    Args:
        model: `name`, `name@3` or `name@alias`.
        photos: A folder with a folder for each class, or a CSV or JSONL file.
        against: Another model, to compare with.
        split: `train`, `validation`, `test` or `all`; if not given, the test photos if there are
            any, else the validation photos, else all.
        variant: Which of the version's graphs; the recommended one if not given.
        known_only: Leave photos out whose label the model does not know.
        store: A folder of models, or `s3://bucket/prefix`; that of the settings if not given.

    Raises:
        DatasetError: There are no photos to measure with, or a label is unknown.
        RequestError: There is no such model, version or variant.
        OperatorError: Something cannot be read.
    """
    settings = load_settings(model_store=store)
    catalog = look(open_store(settings.store, settings.home))
    return evaluate_model(
        catalog.resolve(model),
        read_dataset(Path(photos), to_learn=False),
        settings=settings,
        created=_now(),
        progress=lambda _what, _done, _of: None,
        against=catalog.resolve(against) if against is not None else None,
        part=split,
        variant=variant,
        known_only=known_only,
    )


def _now() -> datetime:
    return datetime.now(UTC)
