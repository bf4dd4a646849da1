"""`GET /v1/results/{id}/image`: the photos that were kept with their answers."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response

from viewfinder.api.call import deadline_of
from viewfinder.api.connection import WhileConnected
from viewfinder.api.openapi import WITHIN
from viewfinder.api.recorded import find_result, images_away
from viewfinder.api.services import Services, ServicesDep
from viewfinder.blobs.threads import in_thread
from viewfinder.errors import RequestError, ResultNotFoundError
from viewfinder.results.images import image_key, stored_form

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result

router = APIRouter(prefix="/v1", tags=["results"])

_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}


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
    result = await find_result(services, identifier, lambda results: results.get(identifier))
    async with WhileConnected(request):
        data = await _stored(services, result)
        if side is not None:
            data = await _thumbnail(services, data, side, deadline)
    headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return Response(data, headers=headers, media_type="image/jpeg")


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
        raise images_away() from error


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
