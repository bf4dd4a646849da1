"""The files that answers are written to: lines of JSON, CSV, Parquet; always a line at a time."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from viewfinder.cli.batch.answers import Line
from viewfinder.cli.batch.parquet import check_installed, parquet
from viewfinder.cli.console import fail, written

Write = Callable[[Line], None]
Output = Callable[[Path, int], AbstractContextManager[Write]]
"""Opens a file for answers that name so many classes at most."""

# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@contextmanager
def jsonl(path: Path, _classes: int) -> Iterator[Write]:
    """A line of JSON for each photo."""
    with written(path) as file:
        yield lambda line: print(json.dumps(line, ensure_ascii=False), file=file)


@contextmanager
def comma_separated(path: Path, classes: int) -> Iterator[Write]:
    """A row for each photo, as RFC 4180 has it.

    Text that a spreadsheet would take for a formula begins with an apostrophe. All text is quoted:
    where semicolons part the cells, one inside a name begins no other.
    """
    more = [
        f"{what}_{place}" for place in range(2, classes + 1) for what in ("class", "confidence")
    ]
    columns = [
        *("path", "class", "confidence", "model", "version", "variant", "abstained"),
        *more,
        *("error_code", "error_detail"),
    ]
    with written(path, newline="") as file:
        table = csv.DictWriter(file, columns, restval="", quoting=csv.QUOTE_NONNUMERIC)
        table.writeheader()
        yield lambda line: table.writerow(_harmless(_cells(line)))


def _cells(line: Line) -> dict[str, Any]:
    if "error" in line:
        error = line["error"]
        return {
            "path": line["path"],
            "error_code": error["code"],
            "error_detail": error["detail"],
        }
    model = line["model"]
    cells = {
        "path": line["path"],
        "class": line["class"],
        "confidence": line["confidence"],
        "model": model["name"],
        "version": model["version"],
        "variant": model["variant"],
        "abstained": "true" if line["abstained"] else "false",
    }
    for place, score in enumerate(line["classes"][1:], 2):
        cells[f"class_{place}"] = score["class"]
        cells[f"confidence_{place}"] = score["confidence"]
    return cells


def _harmless(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
        for name, cell in cells.items()
    }


OUTPUTS: Final[Mapping[str, Output]] = {
    ".jsonl": jsonl,
    ".csv": comma_separated,
    ".parquet": parquet,
}


def output_of(path: Path) -> Output:
    """How a file of this name is written; ends the command if nobody knows.

    Raises:
        MissingExtraError: What writes it is not installed.
    """
    kind = path.suffix.lower()
    if kind not in OUTPUTS:
        fail(f"--out takes a file that ends in {', '.join(OUTPUTS)}", code=2)
    if OUTPUTS[kind] is parquet:
        check_installed()
    return OUTPUTS[kind]
