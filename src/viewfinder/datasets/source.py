"""What a person has, a folder or a table, to a data set that makes sense."""

from pathlib import Path

from viewfinder.datasets.folders import looked_for, read_folder
from viewfinder.datasets.labels import check_distinct
from viewfinder.datasets.photos import Dataset
from viewfinder.datasets.tables import TABLES, read_table
from viewfinder.errors import DatasetError


def read_dataset(source: Path, *, to_learn: bool = True) -> Dataset:
    """Read which photos there are, and their labels. No photo is opened.

    Args:
        source: A folder with a folder for each class; or with `train`, `validation` and `test`
            that have these; or a `.csv`, `.tsv` or `.jsonl` file of paths and labels.
        to_learn: Whether something is to be learned from it, which takes two classes, and photos
            of each to train with. To measure a model, any labelled photo will do.

    Raises:
        DatasetError: It is not there, cannot be read or understood, or nothing can be learned from
            it.
    """
    try:
        dataset = _read(source)
    except OSError as error:
        where = error.filename or source
        raise DatasetError(f"{where} cannot be read: {error.strerror or error}") from error
    _check(dataset)
    if to_learn:
        _check_to_learn(dataset)
    return dataset


def _read(source: Path) -> Dataset:
    try:
        is_folder = source.stat() and source.is_dir()
    except FileNotFoundError as error:
        raise DatasetError(f"{source} does not exist") from error
    if is_folder:
        return read_folder(source)
    if source.suffix.lower() in TABLES and source.is_file():
        return read_table(source)
    raise DatasetError(
        f"{source} is not a data set: give a folder with a folder for each class, or a "
        f"{', '.join(TABLES)} file of paths and labels"
    )


def _check(dataset: Dataset) -> None:
    """Refuse what nothing can be learned from."""
    if not dataset.photos:
        raise DatasetError(f"{dataset.source} has no photos; these are looked for: {looked_for()}")
    check_distinct(dataset.labels)
    lost = {one.photo.label for one in dataset.skipped if one.photo.label} - set(dataset.labels)
    if lost:
        raise DatasetError(
            f"none of the files of these classes is there: {', '.join(sorted(lost))}; "
            "bring them, or leave the classes out"
        )


def _check_to_learn(dataset: Dataset) -> None:
    if len(dataset.labels) == 1:
        raise DatasetError(
            f"{dataset.source} has one class only, {dataset.labels[0]!r}; "
            "a model needs at least two to tell apart"
        )
    if not dataset.is_split:
        return
    trained = {photo.label for photo in dataset.of("train")}
    if not trained:
        raise DatasetError(
            f"{dataset.source} has photos for validation or test, but none in train; add them"
        )
    untrained = sorted(set(dataset.labels) - trained)
    if untrained:
        raise DatasetError(
            f"train has no photos of these classes, which other splits have: "
            f"{', '.join(untrained)}; move some of theirs to train"
        )
