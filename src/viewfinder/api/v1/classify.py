"""`POST /v1/classify` and `POST /v1/batch-classify`."""

import asyncio
import logging
from typing import Annotated

import uuid_utils
from fastapi import APIRouter, Query, Request, Response

from viewfinder.api.bodies import Photo, read_batch, read_photo
from viewfinder.api.dependencies import Services, ServicesDep, TimeoutDep
from viewfinder.api.errors import to_problem
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
    services: ServicesDep,
    timeout_s: TimeoutDep,
) -> Classification:
    """Classify one photo: a form file, the raw image, or base64 in JSON."""
    content, options = await read_photo(request, query, services.settings.limits)
    prediction = await _ask(services, content, options, timeout_s)
    response.headers["Server-Timing"] = _server_timing(prediction)
    return Classification.of(prediction, str(uuid_utils.uuid7()))


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
    services: ServicesDep,
    timeout_s: TimeoutDep,
) -> BatchAnswer:
    """Classify many photos side by side; one that fails does not disturb the others."""
    photos, options = await read_batch(request, query, services.settings.limits)
    await services.models.get(options.model or options.model_id)  # no such model: say so once
    results = await asyncio.gather(
        *(
            _answer_item(services, index, photo, options, timeout_s)
            for index, photo in enumerate(photos)
        )
    )
    failed = sum(result.error is not None for result in results)
    return BatchAnswer(
        results=results,
        summary=BatchSummary(total=len(results), succeeded=len(results) - failed, failed=failed),
    )


async def _ask(
    services: Services, content: bytes, options: ClassifyOptions, timeout_s: float
) -> Prediction:
    return await services.classify.classify(
        content,
        timeout_s=timeout_s,
        model=options.model or options.model_id,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )


async def _answer_item(
    services: Services, index: int, photo: Photo, options: ClassifyOptions, timeout_s: float
) -> BatchResult:
    def failed(error: Exception) -> BatchResult:
        return BatchResult(index=index, filename=photo.filename, error=to_problem(error))

    if isinstance(photo.content, RequestError):
        return failed(photo.content)
    try:
        prediction = await _ask(services, photo.content, options, timeout_s)
    except (RequestError, ServiceError) as error:
        return failed(error)
    except Exception as error:
        logger.exception("an image of a batch failed")
        return failed(error)
    result = Classification.of(prediction, str(uuid_utils.uuid7()))
    return BatchResult(index=index, filename=photo.filename, result=result)


def _server_timing(prediction: Prediction) -> str:
    timing = prediction.timing
    parts = (("decode", timing.decode), ("queue", timing.queue), ("infer", timing.infer))
    return ", ".join(f"{name};dur={ms:.2f}" for name, ms in (*parts, ("total", timing.total)))
