"""`POST /v1/classify` and `POST /v1/batch-classify`."""

import asyncio
import logging
from functools import partial

from fastapi import APIRouter, Request, Response

from viewfinder.api.bodies.photos import Photo, read_batch, read_photo
from viewfinder.api.call import Call, read_call
from viewfinder.api.connection import WhileConnected
from viewfinder.api.errors import is_own_fault, request_id, to_problem
from viewfinder.api.guards.idempotency import let_pass
from viewfinder.api.openapi import MANY_PHOTOS, ONE_PHOTO
from viewfinder.api.rendered import RenderedJson
from viewfinder.api.schemas.classify import (
    BatchAnswer,
    BatchResult,
    BatchSummary,
    Classification,
    ClassifyOptions,
)
from viewfinder.errors import InvalidParameterError, RequestError, ServiceError
from viewfinder.telemetry.tracing import span
from viewfinder.types import Prediction

router = APIRouter(tags=["classify"])
logger = logging.getLogger(__name__)


@router.post("/classify", response_model=Classification, openapi_extra=ONE_PHOTO)
@router.post("/v1/classify", response_model=Classification, openapi_extra=ONE_PHOTO)
async def classify(request: Request) -> Response:
    """Classify one photo: a form file, the raw image, or in JSON its base64 or its URL."""
    call = read_call(request)
    photo, options = await read_photo(request, call.options)
    _check_explain(call, options)
    async with WhileConnected(request):
        prediction = await _ask(call, photo, options)
    return RenderedJson(
        Classification.of(prediction).model_dump_json(by_alias=True),
        headers={"Server-Timing": _server_timing(prediction)},
    )


@router.post("/batch-classify", response_model=BatchAnswer, openapi_extra=MANY_PHOTOS)
@router.post("/v1/batch-classify", response_model=BatchAnswer, openapi_extra=MANY_PHOTOS)
async def batch_classify(request: Request) -> Response:
    """Classify many photos side by side; one that fails does not disturb the others."""
    call = read_call(request)
    photos, options = await read_batch(request, call.options, call.services.settings.limits)
    _check_explain(call, options)
    models = call.services.models
    # None such: say so once.
    slot = await models.get(options.model, call.caller, deadline=call.deadline)
    # A window keeps the cores busy and leaves the queue, and the turns at heat maps, to others.
    one_by_one = options.explain == "heatmap" and slot.explainer.takes_long
    window = asyncio.Semaphore(1 if one_by_one else 2 * call.services.settings.compute_threads)

    request.scope["state"]["images"] = len(photos)

    async def one(index: int, photo: Photo) -> BatchResult:
        result = partial(BatchResult, index=index, filename=photo.filename)
        try:
            async with window:
                with span("image", {"viewfinder.image": index}):
                    prediction = await _ask(call, photo, options)
        except (RequestError, ServiceError) as error:
            problem = to_problem(error, request_id(request))
        except Exception as error:
            logger.exception("image %d of request %s failed", index, request_id(request))
            problem = to_problem(error, request_id(request))
        else:
            return result(result=Classification.of(prediction))
        if (sampler := call.services.sampler) is not None:
            sampler.metrics.refused(problem.code)
        return result(error=problem)

    async with WhileConnected(request):
        results = await asyncio.gather(*(one(n, photo) for n, photo in enumerate(photos)))
    if any(result.error is not None and is_own_fault(result.error.status) for result in results):
        let_pass(request.scope)
    failed = sum(result.error is not None for result in results)
    answer = BatchAnswer(
        results=results,
        summary=BatchSummary(total=len(results), succeeded=len(results) - failed, failed=failed),
    )
    return RenderedJson(answer.model_dump_json(by_alias=True, exclude_none=True))


def _check_explain(call: Call, options: ClassifyOptions) -> None:
    if options.explain != "none" and not call.services.settings.explain.enabled:
        raise InvalidParameterError("explain: This server makes no heat maps; ask without one.")


async def _ask(call: Call, photo: Photo, options: ClassifyOptions) -> Prediction:
    async with photo.content(call.services.fetcher, call.deadline) as content:
        prediction = await call.services.classify.classify(
            content,
            deadline=call.deadline,
            model=options.model,
            top_k=options.top_k,
            min_confidence=options.min_confidence,
            explain=options.explain,
            caller=call.caller,
            owner=call.owner,
        )
    call.predictions.append(prediction)
    return prediction


def _server_timing(prediction: Prediction) -> str:
    timing = prediction.timing
    parts = (("decode", timing.decode), ("queue", timing.queue), ("infer", timing.infer))
    return ", ".join(f"{name};dur={ms:.2f}" for name, ms in (*parts, ("total", timing.total)))
