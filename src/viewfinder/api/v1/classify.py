"""`POST /v1/classify` and `POST /v1/batch-classify`."""

import asyncio
import logging
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from viewfinder.api.bodies import Photo, read_batch, read_photo
from viewfinder.api.connection import WhileConnected
from viewfinder.api.dependencies import Call, CallDep
from viewfinder.api.errors import request_id, to_problem
from viewfinder.api.openapi import MANY_PHOTOS, ONE_PHOTO
from viewfinder.api.schemas import (
    BatchAnswer,
    BatchResult,
    BatchSummary,
    Classification,
    ClassifyOptions,
)
from viewfinder.errors import RequestError, ServiceError
from viewfinder.types import Prediction

router = APIRouter(tags=["classify"])
logger = logging.getLogger(__name__)


@router.post("/classify", openapi_extra={"requestBody": ONE_PHOTO})
@router.post("/v1/classify", openapi_extra={"requestBody": ONE_PHOTO})
async def classify(
    request: Request,
    response: Response,
    query: Annotated[ClassifyOptions, Query()],
    call: CallDep,
) -> Classification:
    """Classify one photo: a form file, the raw image, or base64 in JSON."""
    photo, options = await read_photo(request, query, call.services.settings.limits)
    content = await photo.content()
    async with WhileConnected(request):
        prediction = await _ask(call, content, options)
    response.headers["Server-Timing"] = _server_timing(prediction)
    return Classification.of(prediction)


@router.post(
    "/batch-classify",
    openapi_extra={"requestBody": MANY_PHOTOS},
    response_model_exclude_none=True,
)
@router.post(
    "/v1/batch-classify",
    openapi_extra={"requestBody": MANY_PHOTOS},
    response_model_exclude_none=True,
)
async def batch_classify(
    request: Request,
    query: Annotated[ClassifyOptions, Query()],
    call: CallDep,
) -> BatchAnswer:
    """Classify many photos side by side; one that fails does not disturb the others."""
    photos, options = await read_batch(request, query, call.services.settings.limits)
    await call.services.models.get(options.model, call.caller)  # no such model: say so once
    # A window keeps the cores busy and leaves the queue to others.
    window = asyncio.Semaphore(2 * call.services.settings.compute_threads)

    async def answer(index: int, photo: Photo) -> BatchResult:
        result = partial(BatchResult, index=index, filename=photo.filename)
        try:
            async with window:
                prediction = await _ask(call, await photo.content(), options)
        except (RequestError, ServiceError) as error:
            return result(error=to_problem(error, request_id(request)))
        except Exception as error:
            logger.exception("image %d of request %s failed", index, request_id(request))
            return result(error=to_problem(error, request_id(request)))
        return result(result=Classification.of(prediction))

    async with WhileConnected(request):
        results = await asyncio.gather(*(answer(n, photo) for n, photo in enumerate(photos)))
    failed = sum(result.error is not None for result in results)
    return BatchAnswer(
        results=results,
        summary=BatchSummary(total=len(results), succeeded=len(results) - failed, failed=failed),
    )


async def _ask(call: Call, content: bytes, options: ClassifyOptions) -> Prediction:
    return await call.services.classify.classify(
        content,
        deadline=call.deadline,
        model=options.model,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
        caller=call.caller,
    )


def _server_timing(prediction: Prediction) -> str:
    timing = prediction.timing
    parts = (("decode", timing.decode), ("queue", timing.queue), ("infer", timing.infer))
    return ", ".join(f"{name};dur={ms:.2f}" for name, ms in (*parts, ("total", timing.total)))
