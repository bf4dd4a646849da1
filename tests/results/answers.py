"""Answers to be recorded, and what came of them."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uuid_utils
from sqlalchemy import select

from viewfinder.results.images import ImageKeeper
from viewfinder.results.recorder import ResultRecorder
from viewfinder.serving.recording import Answered
from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.schema import upgrade
from viewfinder.storage.tables import results
from viewfinder.types import ClassScore, Prediction, ServedModel, Timing


def answered(
    data: bytes = b"photo",
    *,
    classes: int = 3,
    confidence: float = 0.5,
    identifier: str | None = None,
    **fields: Any,
) -> Answered:
    """A photo and its answer, each time another one."""
    scores = tuple(ClassScore(f"step-{n}", n, confidence / (n + 1)) for n in range(classes))
    prediction = Prediction(
        id=identifier or str(uuid_utils.uuid7()),
        top=scores[0],
        classes=scores,
        model=ServedModel("fake", 1, "only"),
        abstained=False,
        cached=False,
        timing=Timing(1.0, 2.0, 3.0, 6.5),
    )
    return Answered(prediction, data, hashlib.sha256(data).hexdigest(), **fields)


@asynccontextmanager
async def recording(
    settings: Settings,
    *,
    images: ImageKeeper | None = None,
    prepared: bool = True,
    **options: Any,
) -> AsyncIterator[ResultRecorder]:
    """A recorder at work, closed at the end; unless it is said, with tables to write to."""
    if prepared:
        await asyncio.to_thread(upgrade, settings)
    link = DatabaseLink(settings)
    given = {"buffer": 10_000, "gather_s": 0.01, **options}
    recorder = ResultRecorder(link, images=images, **given)
    recorder.start()
    try:
        yield recorder
    finally:
        await recorder.close()
        await link.close()


async def rows(database: Database) -> list[Any]:
    """All results, oldest first."""
    async with database.reading() as connection:
        found = await connection.execute(select(results).order_by(results.c.id))
        return list(found.mappings())


def rows_in(settings: Settings) -> list[dict[str, Any]]:
    """All results in the SQLite file of a server, which may be running."""
    connection = sqlite3.connect(settings.home / "viewfinder.db", timeout=10)
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM results ORDER BY id")]
    finally:
        connection.close()
