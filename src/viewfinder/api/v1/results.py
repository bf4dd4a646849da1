"""`/v1/results`: the answers that were given, listed and erased."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query

from viewfinder.api.errors import make_problem
from viewfinder.api.recorded import RETRY_S, Renderer, find_result, flush, images_away
from viewfinder.api.schemas.results import Deleted, ResultAnswer, ResultPage, ResultQuery
from viewfinder.api.services import Services, ServicesDep
from viewfinder.blobs.threads import in_thread
from viewfinder.errors import InvalidParameterError, NotReadyError
from viewfinder.results.images import image_key
from viewfinder.storage.opening import open_results
from viewfinder.storage.results.wanted import Wanted, read_cursor, write_cursor

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result
    from viewfinder.storage.results.table import Results

router = APIRouter(prefix="/v1", tags=["results"])

_ERASED = "This result was erased."


@router.get("/results")
async def list_results(services: ServicesDep, query: Annotated[ResultQuery, Query()]) -> ResultPage:
    """Results page by page, newest first; `order=uncertain&reviewed=false` is the review queue."""
    wanted = _wanted(query)
    page = await (await open_results(services.database)).page(wanted)
    known = Renderer(services)
    return ResultPage(
        results=[known.answer(result) for result in page.results],
        next=write_cursor(wanted.order, page.last) if page.last is not None else None,
    )


@router.delete("/results")
async def erase_of_image(
    services: ServicesDep,
    image_sha256: Annotated[
        str,
        Query(pattern="^[0-9a-fA-F]{64}$", description="The SHA-256 of the file as it was sent."),
    ],
) -> Deleted:
    """Erase every result for an image file, and the stored images."""
    results = await open_results(services.database)
    if not await flush(services):
        raise NotReadyError(
            "Answers wait to be written, and cannot be erased before; try again later.",
            retry_after_s=RETRY_S,
        )
    deleted = 0
    while found := await results.of_image(image_sha256.lower()):
        deleted += await _erase(services, results, found)
    return Deleted(deleted=deleted)


@router.get("/results/{identifier}")
async def show_result(services: ServicesDep, identifier: str) -> ResultAnswer:
    """One result."""
    result = await find_result(services, identifier, lambda results: results.get(identifier))
    return Renderer(services).answer(result)


@router.delete("/results/{identifier}", status_code=204)
async def erase_result(services: ServicesDep, identifier: str) -> None:
    """Erase a result, its stored image, and the copy that a job has of it."""
    result = await find_result(services, identifier, lambda results: results.get(identifier))
    await _erase(services, await open_results(services.database), [result])


def _wanted(query: ResultQuery) -> Wanted:
    """What is asked for.

    Raises:
        InvalidParameterError: The cursor is none.
    """
    ref = query.ref
    try:
        after = None if query.cursor is None else read_cursor(query.order, query.cursor)
    except ValueError as error:
        raise InvalidParameterError(
            "The cursor is not one of this order: take it from `next`, and ask as before."
        ) from error
    return Wanted(
        model=None if ref is None else ref.name,
        version=None if ref is None else ref.version,
        label=query.label,
        min_confidence=query.min_confidence,
        max_confidence=query.max_confidence,
        since=query.since,
        until=query.until,
        reviewed=query.reviewed,
        order=query.order,
        after=after,
        limit=query.limit,
    )


async def _erase(services: Services, results: "Results", which: Iterable["Result"]) -> int:
    """Erase rows and images.

    The images first: a row whose image is gone can be found, and erased, once more; an image whose
    row is gone would be found by nobody. An image is erased also where the row says that there is
    none: after a crash, one may have been stored that nobody has noted.
    """
    found = list(which)
    try:
        keys = [image_key(result.id) for result in found]
        await in_thread(services.blobs.delete, keys)
    except OSError as error:
        raise images_away(
            "The stored images cannot be erased now, and so nothing more was; try again later."
        ) from error
    in_place = make_problem("result_not_found", _ERASED).model_dump(exclude_none=True)
    return await results.erase([result.id for result in found], in_place=in_place)
