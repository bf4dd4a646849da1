"""`POST /v1/classify` and `POST /v1/batch-classify`."""

import asyncio
import logging
from functools import partial
from typing import Annotated

import uuid_utils
from fastapi import APIRouter, Query, Request, Response

from viewfinder.api.bodies import Photo, read_batch, read_photo
from viewfinder.api.dependencies import DeadlineDep, Services, ServicesDep
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
    services: ServicesDep,
    deadline: DeadlineDep,
) -> Classification:
    """Classify one photo: a form file, the raw image, or base64 in JSON."""
    photo, options = await read_photo(request, query, services.settings.limits)
    prediction = await _ask(services, await photo.content(), options, deadline)
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
    deadline: DeadlineDep,
) -> BatchAnswer:
    """Classify many photos side by side; one that fails does not disturb the others."""
    photos, options = await read_batch(request, query, services.settings.limits)
    await services.models.get(options.model)  # no such model: say so once
    # A window keeps the cores busy and leaves the queue to others.
    window = asyncio.Semaphore(2 * services.settings.compute_threads)

    async def answer(index: int, photo: Photo) -> BatchResult:
        result = partial(BatchResult, index=index, filename=photo.filename)
        try:
            async with window:
                prediction = await _ask(services, await photo.content(), options, deadline)
        except (RequestError, ServiceError) as error:
            return result(error=to_problem(error, request_id(request)))
        except Exception as error:
            logger.exception("image %d of request %s failed", index, request_id(request))
            return result(error=to_problem(error, request_id(request)))
        return result(result=Classification.of(prediction, str(uuid_utils.uuid7())))

    results = await asyncio.gather(*(answer(index, photo) for index, photo in enumerate(photos)))
    failed = sum(result.error is not None for result in results)
    return BatchAnswer(
        results=results,
        summary=BatchSummary(total=len(results), succeeded=len(results) - failed, failed=failed),
    )


async def _ask(
    services: Services, content: bytes, options: ClassifyOptions, deadline: float
) -> Prediction:
    return await services.classify.classify(
        content,
        deadline=deadline,
        model=options.model,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )


def _server_timing(prediction: Prediction) -> str:
    timing = prediction.timing
    parts = (("decode", timing.decode), ("queue", timing.queue), ("infer", timing.infer))
    return ", ".join(f"{name};dur={ms:.2f}" for name, ms in (*parts, ("total", timing.total)))
