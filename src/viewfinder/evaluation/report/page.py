"""An evaluation as one HTML file that needs nothing beside it: no network, no script, no font."""

import base64
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment

from viewfinder import __version__
from viewfinder.datasets.reading import read_photo
from viewfinder.errors import RequestError
from viewfinder.evaluation.document import (
    ClassEvaluation,
    Epoch,
    Evaluation,
    Mistake,
    SplitEvaluation,
)
from viewfinder.evaluation.frame import Frame
from viewfinder.evaluation.ladder import Ladder
from viewfinder.evaluation.report import verdict
from viewfinder.evaluation.report.environment import environment_of
from viewfinder.evaluation.report.ladder_plot import picture
from viewfinder.imaging.decode import decode
from viewfinder.imaging.thumbnail import small_jpeg
from viewfinder.settings import Limits
from viewfinder.shared.trees import flatten

MOST_NAMED_CLASSES = 40
"""Classes up to which the confusion matrix is a table with a name for each."""

_MOST_ROWS = 50
_SHADES = 5
_THUMBNAIL = 160  # pixels, the longer side
_QUALITY = 80
_TEMPLATES = Path(__file__).parent / "templates"


def render_report(
    evaluation: Evaluation, *, photos: Path | None = None, limits: Limits | None = None
) -> str:
    """Write the report.

    Args:
        evaluation: What to show.
        photos: The folder from which the evaluation tells its paths, for pictures of the worst
            mistakes. None leaves them out; so does a photo that is no longer there.
        limits: What will be decoded.

    Returns:
        A whole HTML document.
    """
    result = evaluation.result
    other = evaluation.comparison
    names = verdict.told_apart(evaluation, other.evaluation) if other else (evaluation.model, "")
    rows = worst_first(result.classes)
    named = len(result.classes) <= MOST_NAMED_CLASSES
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            evaluation=evaluation,
            result=result,
            headline=verdict.headline(evaluation),
            sentences=verdict.sentences(evaluation),
            names=names,
            compared=verdict.compared(other, names[1]) if other else None,
            classes=rows[:_MOST_ROWS],
            more_classes=rows[_MOST_ROWS:],
            named=named,
            shades=[] if named else _shades(result),
            worst=list(_pictured(result.worst, photos, limits or Limits())),
            provenance=flatten(evaluation.provenance),
            keras=flatten(evaluation.keras or {}),
            release=__version__,
            ladder=picture(evaluation.ladder) if evaluation.ladder else None,
            **_coverage(result),
            **_training(evaluation.history),
        )
    )


def render_ladder(ladder: Ladder, model: str, created: datetime) -> str:
    """Write the report of variants for which nobody knows what is right.

    Args:
        ladder: What to show.
        model: `name@version`.
        created: When it was found out.

    Returns:
        A whole HTML document.
    """
    return (
        _environment()
        .get_template("ladder_page.html.j2")
        .render(ladder=picture(ladder), model=model, created=created, release=__version__)
    )


def _environment() -> Environment:
    environment = environment_of(_TEMPLATES)
    environment.filters |= {
        "percent": verdict.percent,
        "within": verdict.within,
        "p_value": verdict.p_value,
    }
    environment.globals |= {"count": verdict.count, "frame": Frame}
    return environment


def worst_first(classes: Sequence[ClassEvaluation]) -> list[ClassEvaluation]:
    """Classes by their recall; those that no photo shows come last."""

    def key(one: ClassEvaluation) -> tuple[float, int]:
        return (2.0 if one.recall is None else one.recall.value, -one.support)

    return sorted(classes, key=key)


def _shades(result: SplitEvaluation) -> list[tuple[bool, float, str]]:
    """A large confusion matrix as few paths: whether it is the diagonal, how dark, its squares."""
    squares: dict[tuple[bool, int], list[str]] = {}
    for row, counts in enumerate(result.confusion):
        whole = sum(counts)
        for column, number in enumerate(counts):
            if number:
                shade = min(_SHADES, 1 + int(_SHADES * number / whole))
                squares.setdefault((row == column, shade), []).append(f"M{column} {row}h1v1h-1z")
    return [
        (diagonal, shade / _SHADES, "".join(paths))
        for (diagonal, shade), paths in sorted(squares.items())
    ]


def _coverage(result: SplitEvaluation) -> dict[str, Any]:
    """The curve of accuracy against coverage, and the threshold on it."""
    curve = [(point.coverage, point.accuracy) for point in result.curve]
    marks, answered, could = [], result.accuracy_answered, result.suggested_abstain
    if result.abstain_below is not None and answered is not None:
        marks.append((result.abstain_below, result.coverage, answered.value, "its threshold"))
    elif could is not None and could.accuracy is not None:
        marks.append((could.threshold, could.coverage, could.accuracy, "a possible threshold"))
    lowest = min(accuracy for _, accuracy in curve if accuracy is not None)
    return {
        "curve": curve,
        "curve_low": min(0.9, math.floor(10 * lowest) / 10),
        "marks": [
            {
                "coverage": coverage,
                "accuracy": accuracy,
                "name": f"{what}: {verdict.percent(threshold)}",
                "words": f"At {what} of {verdict.percent(threshold)} it answers "
                f"{verdict.percent(coverage, result.photos)} of the photos, and "
                f"{verdict.percent(accuracy, result.photos)} of those answers are right.",
            }
            for threshold, coverage, accuracy, what in marks
        ],
    }


def _training(history: Sequence[Epoch]) -> dict[str, Any]:
    """The lines of training, by epoch, and where each of its phases begins."""
    losses = [epoch.loss for epoch in history]
    accuracies = [epoch.accuracy for epoch in history]
    validation = [epoch.validation_accuracy for epoch in history]
    known = [value for value in (*accuracies, *validation) if value is not None]
    return {
        "phases": [
            (n, epoch.phase)
            for n, epoch in enumerate(history)
            if n == 0 or history[n - 1].phase != epoch.phase
        ],
        "loss_line": list(enumerate(losses)),
        "loss_high": max((loss for loss in losses if loss is not None), default=0.0),
        "accuracy_line": list(enumerate(accuracies)),
        "validation_line": list(enumerate(validation)),
        "accuracy_low": min(0.9, math.floor(10 * min(known, default=0.0)) / 10),
    }


def _pictured(
    worst: Sequence[Mistake], photos: Path | None, limits: Limits
) -> Iterator[tuple[Mistake, dict[str, Any] | None]]:
    for mistake in worst:
        yield mistake, _picture(photos / mistake.path, limits) if photos is not None else None


def _picture(path: Path, limits: Limits) -> dict[str, Any] | None:
    """A small JPEG as a `data:` address, with its size; nothing of the file but its pixels."""
    try:
        data = read_photo(path, limits.image_bytes)
        image = decode(data, limits=limits, enough=(2 * _THUMBNAIL,) * 2)
    except RequestError:
        return None
    jpeg, (width, height) = small_jpeg(image, _THUMBNAIL, quality=_QUALITY)
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    return {"src": source, "width": width, "height": height}
