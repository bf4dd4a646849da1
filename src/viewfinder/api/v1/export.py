"""`GET /v1/results/export`: what people have reviewed, to train with."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from viewfinder.api.recorded import images_away
from viewfinder.api.schemas.results import ModelQuery
from viewfinder.api.services import ServicesDep
from viewfinder.results.archive import zip_reviewed
from viewfinder.storage.opening import open_results
from viewfinder.storage.results.wanted import Wanted

router = APIRouter(prefix="/v1", tags=["results"])

_TYPE = "application/zip"
_ZIP = {_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Disposition": 'attachment; filename="reviewed.zip"',
    "X-Content-Type-Options": "nosniff",
}


@router.get("/results/export", response_class=StreamingResponse, responses={200: {"content": _ZIP}})
async def export_reviewed(
    services: ServicesDep, query: Annotated[ModelQuery, Query()]
) -> StreamingResponse:
    """Every reviewed photo that is stored, as a zip with a folder for each label.

    That is the folder that `viewfinder train` takes. The zip's comment says as JSON how many photos
    are `written`, how many are `without_image`, and how many have an `unfit` label.
    """
    ref = query.ref
    wanted = Wanted(
        model=None if ref is None else ref.name,
        version=None if ref is None else ref.version,
        since=query.since,
        until=query.until,
    )
    parts = zip_reviewed(await open_results(services.database), services.blobs, wanted)
    try:
        first = await anext(parts)
    except OSError as error:
        raise images_away() from error
    return StreamingResponse(_all(first, parts), media_type=_TYPE, headers=_HEADERS)


async def _all(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Failures are told before the first part; one that comes later cuts the answer off."""
    async with aclosing(rest):
        yield first
        async for part in rest:
            yield part
