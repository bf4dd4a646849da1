"""Answers to rows. Imported when the first one is written: SQLAlchemy comes with it."""

from collections.abc import Iterable

from viewfinder.results.waiting import Waiting
from viewfinder.shared.ids import moment_of
from viewfinder.storage.database import Database
from viewfinder.storage.results.rows import Result
from viewfinder.storage.results.table import Results


async def write(database: Database, answers: Iterable[Waiting]) -> frozenset[str]:
    """Write down answers.

    Returns:
        The ids of those that no database takes.

    Raises:
        DatabaseError: The database cannot be written; whether any was is not known.
    """
    refused = await Results(database).add([to_result(answer) for answer in answers])
    return frozenset(result.id for result in refused)


async def mark_stored(database: Database, sizes: dict[str, int]) -> frozenset[str]:
    """See `Results.mark_stored`."""
    return await Results(database).mark_stored(sizes)


def to_result(answer: Waiting) -> Result:
    """The row of an answer."""
    prediction = answer.prediction
    timing = prediction.timing
    return Result(
        id=prediction.id,
        created=moment_of(prediction.id),
        model=prediction.model.name,
        version=prediction.model.version,
        variant=prediction.model.variant,
        label=prediction.top.label,
        confidence=prediction.top.confidence,
        classes=prediction.classes,
        abstained=prediction.abstained,
        cached=prediction.cached,
        timing={
            "decode": round(timing.decode, 3),
            "queue": round(timing.queue, 3),
            "infer": round(timing.infer, 3),
            "total": round(timing.total, 3),
        },
        owner=answer.owner,
        job=answer.job,
        image_sha256=answer.sha256,
        image_bytes=answer.image_bytes,
    )
