"""Answers as a Parquet file; needs the extra `parquet`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from viewfinder.cli.batch.answers import Line
from viewfinder.cli.console import replacing
from viewfinder.errors import MissingExtraError

_EXTRA = "parquet"
_PACKAGE = "pyarrow"
# Of one row group, and of what is held in memory.
_ROWS = 5000


def check_installed() -> None:
    """Look before any work is done.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec(_PACKAGE) is None:
        raise MissingExtraError("Parquet", _EXTRA)


@contextmanager
def parquet(path: Path, _classes: int) -> Iterator[Callable[[Line], None]]:
    """A row for each photo, in typed columns; `classes` holds all classes, best first."""
    arrow = import_module(_PACKAGE)
    schema = _schema(arrow)
    rows: list[dict[str, Any]] = []
    with (
        replacing(path) as partial,
        import_module(f"{_PACKAGE}.parquet").ParquetWriter(partial, schema) as file,
    ):

        def flush() -> None:
            file.write_table(arrow.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def write(line: Line) -> None:
            rows.append(_row(line))
            if len(rows) >= _ROWS:
                flush()

        yield write
        flush()


def _schema(arrow: Any) -> Any:
    text, number = arrow.string(), arrow.float64()
    score = arrow.struct([("class", text), ("index", arrow.int32()), ("confidence", number)])
    return arrow.schema(
        [
            arrow.field("path", text, nullable=False),
            ("class", text),
            ("confidence", number),
            ("model", text),
            ("version", arrow.int32()),
            ("variant", text),
            ("abstained", arrow.bool_()),
            ("classes", arrow.list_(score)),
            ("error_code", text),
            ("error_detail", text),
        ]
    )


def _row(line: Line) -> dict[str, Any]:
    # Names of files need not be UTF-8, and columns of text must be.
    path = line["path"].encode(errors="backslashreplace").decode()
    if "error" in line:
        error = line["error"]
        return {"path": path, "error_code": error["code"], "error_detail": error["detail"]}
    model = line["model"]
    return {
        "path": path,
        "class": line["class"],
        "confidence": line["confidence"],
        "model": model["name"],
        "version": model["version"],
        "variant": model["variant"],
        "abstained": line["abstained"],
        "classes": line["classes"],
    }
