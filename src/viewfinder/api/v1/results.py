"""`GET /v1/results` and below: the answers that were given, and what people say of them."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import APIRouter, Query, Request, Response

from viewfinder.api.bodies import read_json
from viewfinder.api.connection import WhileConnected
from viewfinder.api.dependencies import (
    Services,
    ServicesDep,
    deadline_of,
    owner_of,
    principal_of,
)
from viewfinder.api.errors import make_problem
from viewfinder.api.openapi import WITHIN, json_body
from viewfinder.api.schemas.results import (
    Deleted,
    FeedbackBody,
    LiveAccuracy,
    ResultAnswer,
    ResultPage,
    ResultQuery,
    SpanQuery,
)
from viewfinder.blobs.threads import in_thread
from viewfinder.errors import (
    InvalidParameterError,
    ModelNotFoundError,
    NotReadyError,
    RequestError,
    ResultNotFoundError,
    ServiceError,
)
from viewfinder.results.images import image_key, stored_form
from viewfinder.results.labels import in_one_form
from viewfinder.results.live import live_accuracy
from viewfinder.results.opening import open_results
from viewfinder.storage.wanted import Wanted, is_result_id, read_cursor, write_cursor
from viewfinder.types import is_model_name

if TYPE_CHECKING:
    from viewfinder.storage.results import Result, Results

router = APIRouter(prefix="/v1", tags=["results"])

_NONE = (
    "There is no such result: it was never recorded, has been erased, or is older than results "
    "are kept."
)
_ERASED = "This result was erased."
_RETRY_S = 5
_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
_T = TypeVar("_T")


@router.get("/results")
async def list_results(services: ServicesDep, query: Annotated[ResultQuery, Query()]) -> ResultPage:
    """Results page by page, newest first; `order=uncertain&reviewed=false` is the review queue."""
    wanted = _wanted(query)
    page = await (await open_results(services.database)).page(wanted)
    known = _Known(services)
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
    if not await _flush(services):
        raise NotReadyError(
            "Answers wait to be written, and cannot be erased before; try again later.",
            retry_after_s=_RETRY_S,
        )
    deleted = 0
    while found := await results.of_image(image_sha256.lower()):
        deleted += await _erase(services, results, found)
    return Deleted(deleted=deleted)


@router.get("/results/{identifier}")
async def show_result(services: ServicesDep, identifier: str) -> ResultAnswer:
    """One result."""
    result = await _one(services, identifier, lambda results: results.get(identifier))
    return _Known(services).answer(result)


@router.get(
    "/results/{identifier}/image",
    response_class=Response,
    responses={200: {"content": _JPEG}},
    openapi_extra=WITHIN,
)
async def show_image(
    request: Request,
    services: ServicesDep,
    identifier: str,
    side: Annotated[
        int | None,
        Query(ge=32, le=640, description="Of a thumbnail: its longer side at most, in pixels."),
    ] = None,
) -> Response:
    """The stored image of a result, without its metadata and at most as large as the settings say.

    There is one only where the server has `record` = `images`.
    """
    deadline = deadline_of(request)
    result = await _one(services, identifier, lambda results: results.get(identifier))
    async with WhileConnected(request):
        data = await _stored(services, result)
        if side is not None:
            data = await _thumbnail(services, data, side, deadline)
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type="image/jpeg")


@router.delete("/results/{identifier}", status_code=204)
async def erase_result(services: ServicesDep, identifier: str) -> None:
    """Erase a result, its stored image, and the copy that a job has of it."""
    result = await _one(services, identifier, lambda results: results.get(identifier))
    await _erase(services, await open_results(services.database), [result])


@router.put("/results/{identifier}/feedback", openapi_extra=json_body(FeedbackBody))
async def give_feedback(services: ServicesDep, identifier: str, request: Request) -> ResultAnswer:
    """Say what the photo shows, in place of what was said before; also where the answer is right.

    A key without the scope `manage` says so of its own results only.
    """
    body = await read_json(FeedbackBody, request)
    reviewed = await _review(services, identifier, request, body)
    return _Known(services).answer(reviewed)


@router.delete("/results/{identifier}/feedback", status_code=204)
async def take_feedback_back(services: ServicesDep, identifier: str, request: Request) -> None:
    """Take back what was said of a result; the same holds for keys."""
    await _review(services, identifier, request, None)


@router.get("/models/{name}/live-accuracy", tags=["models"])
async def show_live_accuracy(
    name: str, services: ServicesDep, query: Annotated[SpanQuery, Query()]
) -> LiveAccuracy:
    """How good the answers were, by what people said of them, per version and per class."""
    unknown = ModelNotFoundError(f"There is no model {name!r}, and no result of one.")
    if not is_model_name(name):
        raise ModelNotFoundError("There is no model of that name.")
    results = await open_results(services.database)
    tallies = await results.tallies(Wanted(model=name, since=query.since, until=query.until))
    is_known = tallies or name in services.models.catalog.models or await results.has_model(name)
    if not is_known:
        raise unknown
    return LiveAccuracy(
        name=name,
        since=_utc(query.since),
        until=_utc(query.until),
        versions=live_accuracy(tallies),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


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


async def _flush(services: Services) -> bool:
    return services.recorder is None or await services.recorder.flush()


async def _one(
    services: Services, identifier: str, ask: Callable[["Results"], Awaitable[_T | None]]
) -> _T:
    """What there is of a result; one that was answered just now may still wait to be written.

    Raises:
        ResultNotFoundError: There is none.
    """
    if not is_result_id(identifier):
        raise ResultNotFoundError(_NONE)
    results = await open_results(services.database)
    found = await ask(results)
    if found is None:
        await _flush(services)
        found = await ask(results)
    if found is None:
        raise ResultNotFoundError(_NONE)
    return found


async def _review(
    services: Services, identifier: str, request: Request, body: FeedbackBody | None
) -> "Result":
    principal = principal_of(request.scope)
    restricted = principal is not None and "manage" not in principal.scopes
    owner = owner_of(request.scope)
    now = datetime.now(UTC)

    def review(results: "Results") -> Awaitable["Result | None"]:
        return results.review(
            identifier,
            None if body is None else body.label,
            now=now,
            note=None if body is None else body.note,
            reviewer=owner,
            owner=owner if restricted else None,
        )

    return await _one(services, identifier, review)


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
        raise _no_blobs(
            "The stored images cannot be erased now, and so nothing more was; try again later."
        ) from error
    in_place = make_problem("result_not_found", _ERASED).model_dump(exclude_none=True)
    return await results.erase([result.id for result in found], in_place=in_place)


async def _stored(services: Services, result: "Result") -> bytes:
    """The stored image of a result, as it is stored.

    Raises:
        ResultNotFoundError: There is none.
        NotReadyError: The place of the images cannot be used.
    """
    if result.stored_bytes is None:
        raise ResultNotFoundError(
            "No image of this result is kept: either images are not stored (the setting `record`), "
            "or it has made room for newer ones."
        )
    try:
        return await in_thread(services.blobs.get, image_key(result.id))
    except FileNotFoundError as error:
        gone = "The image of this result was stored, and has been let go of since."
        raise ResultNotFoundError(gone) from error
    except OSError as error:
        raise _no_blobs("The stored images cannot be read now; try again later.") from error


async def _thumbnail(services: Services, data: bytes, side: int, deadline: float) -> bytes:
    """A stored image made small, in what the processor has to spare.

    Raises:
        ResultNotFoundError: What is stored is no image any more, or beyond the limits of today.
        OverloadedError: There is too much to do.
        DeadlineExceededError: The processor had nothing to spare in time.
    """
    work = partial(stored_form, data, side=side, limits=services.settings.limits)
    try:
        return await services.devices.cpu.run(work, deadline=deadline, lane="batch")
    except RequestError as error:  # of the stored image: nothing of it can be mended by the caller
        raise ResultNotFoundError(
            "The stored image of this result is damaged, or larger than this server decodes; ask "
            "without `side` for what is stored."
        ) from error


def _no_blobs(detail: str) -> NotReadyError:
    return NotReadyError(detail, retry_after_s=_RETRY_S)


class _Known:
    """Answers with results, and knows for one request which classes the models have now."""

    def __init__(self, services: Services) -> None:
        self._catalog = services.models.catalog
        self._labels: dict[tuple[str, int], frozenset[str] | None] = {}

    def answer(self, result: "Result") -> ResultAnswer:
        """Render a result."""
        known = None
        if result.feedback is not None:
            labels = self._labels_of(result.model, result.version)
            known = None if labels is None else result.feedback in labels
        return ResultAnswer.of(result, known=known)

    def _labels_of(self, model: str, version: int) -> frozenset[str] | None:
        if (model, version) not in self._labels:
            self._labels[model, version] = self._read(model, version)
        return self._labels[model, version]

    def _read(self, model: str, version: int) -> frozenset[str] | None:
        try:
            manifest = self._catalog.bundle(model, version).manifest
        except (RequestError, ServiceError):  # it is gone, or cannot be used
            return None
        return frozenset(in_one_form(label.name) for label in manifest.labels)
