"""`GET /metrics`, and the counting of requests."""

import asyncio

from fastapi import APIRouter, HTTPException, Response

from viewfinder.api.endpoints import OTHER, UNMATCHED, known_method
from viewfinder.api.guards.observe import Finished
from viewfinder.api.services import ServicesDep
from viewfinder.telemetry.exposition import MEDIA_TYPE
from viewfinder.telemetry.metrics import Metrics

router = APIRouter(tags=["service"])

METRICS = "metrics"
"""Where the server under the application finds them, in the state that every request sees."""


@router.get("/metrics", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
async def show(services: ServicesDep) -> Response:
    """What the server has done and how it is, in the text format of Prometheus."""
    if services.sampler is None:
        raise HTTPException(404)
    services.sampler.sample()
    text = await asyncio.to_thread(services.sampler.metrics.render)
    return Response(text, media_type=MEDIA_TYPE)


def count_unread(metrics: Metrics, status: int, reason: str) -> None:
    """Count a request that was refused before there was one that could be read."""
    metrics.requests.add(OTHER, UNMATCHED, str(status))
    metrics.refused(reason)


class CountRequests:
    """Counts and times requests that are over.

    Args:
        metrics: Where.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def finished(self, request: Finished) -> None:
        """See `Observer.finished`."""
        labels = (known_method(request.scope) or OTHER, request.endpoint, str(request.status))
        self._metrics.requests.add(*labels)
        self._metrics.request_seconds.observe(request.seconds, *labels)
        reason = request.scope.get("state", {}).get("problem")
        if reason is not None:
            self._metrics.refused(reason)
