"""What a person has, a folder or a table, to a data set that makes sense."""

from pathlib import Path

from viewfinder.datasets.labels import check_distinct
from viewfinder.datasets.photos import Dataset
from viewfinder.datasets.sources.folders import looked_for, read_folder
from viewfinder.datasets.sources.layout import not_folders
from viewfinder.datasets.sources.tables import TABLES, read_table
from viewfinder.errors import DatasetError
from viewfinder.shared.paths import absence

# A photo right in the folder of its class: the folder's name and its own.
_OF_A_CLASS = 2


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
        raise DatasetError(absence(source)) from error
    if is_folder:
        return read_folder(source)
    if source.suffix.lower() in TABLES and source.is_file():
        return read_table(source)
    raise not_folders(
        f"{source} is a file, and not a data set: give a folder with a folder for each class, or a "
        f"{', '.join(TABLES)} file of paths and labels"
    )


def _check(dataset: Dataset) -> None:
    """Refuse what nothing can be learned from."""
    if not dataset.photos:
        raise not_folders(
            f"{dataset.source} has no photos{_instead(dataset)}; "
            f"these are looked for: {looked_for()}"
        )
    check_distinct(dataset.labels)
    lost = {one.photo.label for one in dataset.skipped if one.photo.label} - set(dataset.labels)
    if lost:
        raise DatasetError(
            f"none of the files of these classes is there: {', '.join(sorted(lost))}; "
            "bring them, or leave the classes out"
        )


def _instead(dataset: Dataset) -> str:
    """What is in a folder without photos."""
    others = dataset.passed_over
    if not others:
        return ""
    return f", but {len(others):,} other file{'s' * (len(others) > 1)}, such as {others[0]}"


def _one_deeper(dataset: Dataset) -> Path | None:
    """The only folder of a data set, if it looks like the data set itself."""
    if dataset.is_split or not dataset.source.is_dir():
        return None
    below = [photo.path.relative_to(dataset.source).parts for photo in dataset.photos]
    if any(len(parts) <= _OF_A_CLASS for parts in below):
        return None
    several = len({parts[:_OF_A_CLASS] for parts in below}) > 1
    return dataset.source / below[0][0] if several else None


def _check_to_learn(dataset: Dataset) -> None:
    if len(dataset.labels) == 1:
        inside = _one_deeper(dataset)
        meant = f"; did you mean {inside}, which has several folders?" if inside else ""
        raise not_folders(
            f"{dataset.source} has one class only, {dataset.labels[0]!r}, and "
            f"a model needs at least two to tell apart{meant}"
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
