"""A table of photos and their labels: CSV or lines of JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from viewfinder.datasets.labels import split_named, tidy_label
from viewfinder.datasets.photos import Dataset, Photo, Skipped, Split
from viewfinder.datasets.sources.layout import not_a_table
from viewfinder.errors import DatasetError

_PATHS = ("path", "file", "image", "filename")
_LABELS = ("label", "class")
_PROBLEM = "error_detail"  # as `viewfinder classify` calls it
_DELIMITERS = ",;\t"
_HEADER = 4096  # characters of the first line to look for the delimiter in: that is slow


@dataclass(frozen=True, slots=True)
class _Row:
    """A line that names a photo; `problem` if it says itself that the photo is no good."""

    number: int
    path: str
    label: str
    split: str
    problem: str | None = None


def read_table(source: Path) -> Dataset:
    """Read a table; its paths start at the folder that it lies in.

    Photos whose files are not there are skipped. A photo that is named again in the same words
    counts once.

    Raises:
        DatasetError: It cannot be understood, or contradicts itself; names the line.
        OSError: It cannot be read.
    """
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not UTF-8 text; save it as UTF-8") from error
    photos: dict[Path, tuple[int, Photo]] = {}
    skipped: dict[Path, Skipped] = {}
    for row in TABLES[source.suffix.lower()](text, source):
        where = f"{source}, line {row.number}"
        photo = _photo(row, source.parent, where)
        if row.problem is not None:
            skipped.setdefault(photo.path, Skipped(photo, row.problem))
            continue
        first, other = photos.setdefault(photo.path, (row.number, photo))
        if other != photo:
            raise DatasetError(
                f"{where}: {row.path} is {_said(photo)} here and {_said(other)} in line {first}; "
                "leave one of them"
            )
    there = []
    for path, (_, photo) in photos.items():
        if path.is_file():
            there.append(photo)
        else:
            skipped[path] = Skipped(photo, "The file does not exist.")
    if photos and not there:
        raise DatasetError(
            f"none of the files that {source} names is there; "
            f"their paths start at {source.parent.absolute()}"
        )
    _check_splits(source, there)
    return Dataset(
        source,
        tuple(sorted({photo.label for photo in there})),
        tuple(sorted(there, key=lambda photo: photo.path)),
        tuple(sorted(skipped.values(), key=lambda one: one.photo.path)),
    )


def _photo(row: _Row, folder: Path, where: str) -> Photo:
    if not row.path.strip() or "\0" in row.path:
        raise DatasetError(f"{where}: there is no path of a photo")
    try:
        # A photo that could not be classified has no label, and is not used either.
        label = tidy_label(row.label) if row.problem is None else ""
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from error
    split: Split | None = None
    if row.split.strip():
        split = split_named(row.split)
        if split is None:
            raise DatasetError(
                f"{where}: the split is {row.split!r}; it can be train, validation or test"
            )
    return Photo(folder / row.path.strip(), label, split)


def _said(photo: Photo) -> str:
    return repr(photo.label) + (f" for {photo.split}" if photo.split else "")


def _check_splits(source: Path, photos: list[Photo]) -> None:
    without = sum(photo.split is None for photo in photos)
    if 0 < without < len(photos):
        raise DatasetError(
            f"{source} gives {without} of {len(photos)} photos no split; give it to all or to none"
        )


def _csv_rows(text: str, source: Path) -> Iterator[_Row]:
    header = text.lstrip("\r\n").partition("\n")[0][:_HEADER]
    try:
        delimiter = csv.Sniffer().sniff(header, _DELIMITERS).delimiter
    except csv.Error:
        delimiter = ","
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    columns: list[str] | None = None
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [cell.strip().lower() for cell in cells]
                _check_columns(columns, source)
                continue
            if len(cells) > len(columns):
                raise DatasetError(
                    f"{source}, line {lines.line_num}: {len(cells)} cells under "
                    f"{len(columns)} columns; put quotes around what has a {delimiter!r} in it"
                )
            named = dict(zip(columns, cells, strict=False))
            yield _Row(
                lines.line_num,
                _first(named, _PATHS) or "",
                _first(named, _LABELS) or "",
                named.get("split") or "",
                named.get(_PROBLEM) or None,
            )
    except csv.Error as error:
        raise DatasetError(f"{source}, line {lines.line_num}: {error}") from error


def _check_columns(columns: list[str], source: Path) -> None:
    for needed in (_PATHS, _LABELS):
        if not set(needed) & set(columns):
            raise not_a_table(
                f"{source}: the first line has no column {needed[0]!r} "
                f"(or {', '.join(needed[1:])}); it has {', '.join(columns)}"
            )


def _json_rows(text: str, source: Path) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{source}, line {number}"
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{where}: this is not JSON") from error
        if not isinstance(said, dict):
            raise DatasetError(f"{where}: this is no object with path and label")
        path, label = _first(said, _PATHS), _first(said, _LABELS)
        problem = _problem(said)
        if not isinstance(path, str) or (problem is None and not isinstance(label, str)):
            raise DatasetError(f"{where}: path and label must both be there, as text")
        split = said.get("split") or ""
        if not isinstance(split, str):
            raise DatasetError(f"{where}: the split is not text")
        yield _Row(number, path, str(label), split, problem)


def _problem(said: Mapping[str, Any]) -> str | None:
    """Why `viewfinder classify` could not say what the photo shows, if it could not."""
    error = said.get("error")
    if error is None:
        return None
    detail = error.get("detail") if isinstance(error, dict) else None
    return str(detail or "It could not be classified.")


def _first(named: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((named[name] for name in names if named.get(name) is not None), None)


TABLES: Final[Mapping[str, Callable[[str, Path], Iterator[_Row]]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_rows,
}
