"""Labels that a model does not believe."""

from collections.abc import Callable

from viewfinder.datasets.findings import Suspect
from viewfinder.datasets.photos import Dataset
from viewfinder.datasets.suspects import wrong_labels
from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import DatasetError
from viewfinder.evaluation.evaluate import targets_of
from viewfinder.evaluation.scoring import confidences, score
from viewfinder.settings import Limits


def suspect_labels(
    dataset: Dataset,
    loaded: LoadedVariant,
    *,
    limits: Limits,
    threads: int,
    progress: Callable[[int, int], None],
) -> tuple[Suspect, ...]:
    """Photos whose label is probably wrong, the most suspicious first.

    Args:
        dataset: Its classes are all the model's; the model may have more.
        loaded: The model, ready for `threads` calls side by side.
        limits: What will be decoded; other photos are passed over.
        threads: To work with.
        progress: Told from this thread how many photos are done, and of how many.

    Raises:
        DatasetError: The model does not know a class.
    """
    names = [label.name for label in loaded.bundle.manifest.labels]
    unknown = sorted(set(dataset.labels) - set(names))
    if unknown:
        raise DatasetError(
            f"{loaded.bundle.manifest.called} has no classes "
            f"{', '.join(map(repr, unknown))}; ask a model that was trained with these labels"
        )
    scored = score(loaded, dataset.photos, limits=limits, threads=threads, progress=progress)
    photos, variant = scored.photos, loaded.variant
    confidence = confidences(
        scored.scores, output=variant.output, temperature=variant.calibration.temperature
    )
    targets = targets_of(photos, names).tolist()
    return tuple(
        Suspect(
            path=str(photos[place].path),
            label=photos[place].label,
            suggested=names[believed],
            confidence=float(confidence[place, believed]),
            split=photos[place].split,
        )
        for place, believed in wrong_labels(confidence, targets)
    )
