"""Photos to lines of answers, several at a time, in their order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Protocol

from viewfinder.cli.batch.sources import Photo
from viewfinder.errors import InvalidImageError, RequestError, ServiceError
from viewfinder.types import ServedModel

Line = dict[str, Any]
"""What is said of one photo: `path` with `class`, `confidence`, `classes`, `model`, `abstained`;
or `path` with `error`, a problem as the API has them."""

ANSWERED = {"label", "confidence", "classes", "model", "abstained"}
"""The part of a `Classification` that a line has."""


class Answerer(Protocol):
    """Who answers."""

    @property
    def at_once(self) -> int:
        """Photos to work on side by side."""

    @property
    def model(self) -> ServedModel | None:
        """Which version answers, once that is known."""

    async def answer(self, data: bytes) -> Line:
        """A line, without its path.

        Raises:
            RequestError: The photo is at fault.
            ServiceError: It cannot be answered.
        """


async def answers(
    photos: Iterable[Photo], answerer: Answerer
) -> AsyncGenerator[tuple[Photo, Line]]:
    """Each photo with its line, in their order; to be closed."""
    pending: deque[tuple[Photo, asyncio.Task[Line]]] = deque()
    try:
        for photo in photos:
            pending.append((photo, asyncio.create_task(_line(photo, answerer))))
            if len(pending) >= answerer.at_once:
                yield await _first(pending)
        while pending:
            yield await _first(pending)
    finally:
        for _, task in pending:
            task.cancel()
        await asyncio.gather(*(task for _, task in pending), return_exceptions=True)


async def _first(pending: deque[tuple[Photo, asyncio.Task[Line]]]) -> tuple[Photo, Line]:
    photo, task = pending.popleft()
    return photo, await task


async def _line(photo: Photo, answerer: Answerer) -> Line:
    from viewfinder.api.errors import to_problem

    try:
        return {"path": photo.path, **await answerer.answer(await photo.read())}
    except OSError:
        error: RequestError | ServiceError = InvalidImageError("The file cannot be read.")
    except (RequestError, ServiceError) as refused:
        error = refused
    return {"path": photo.path, "error": to_problem(error).model_dump(exclude_none=True)}
