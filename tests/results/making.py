"""Results for tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from viewfinder.shared.ids import first_id
from viewfinder.storage.results.rows import Result
from viewfinder.types import ClassScore

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def result_id(moment: datetime, number: int = 0) -> str:
    """The id of an answer of a moment; another for each number."""
    return f"{first_id(moment)}-7000-8000-{number:012x}"


def a_result(number: int = 0, moment: datetime = NOW, **fields: Any) -> Result:
    """A cat, as the model `fake` saw it; each number has an id and an image of its own."""
    result = Result(
        id=result_id(moment, number),
        created=moment,
        model="fake",
        version=1,
        variant="only",
        label="cat",
        confidence=0.5,
        classes=(ClassScore("cat", 0, 0.5),),
        abstained=False,
        cached=False,
        timing={},
        owner=None,
        job=None,
        image_sha256=f"{number:064x}",
        image_bytes=100,
    )
    return replace(result, **fields)
