"""`/v1/results/{id}/feedback` and `/v1/models/{name}/live-accuracy`: what people say of answers."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request

from viewfinder.api.bodies.json import read_json
from viewfinder.api.openapi import json_body
from viewfinder.api.recorded import Renderer, find_result
from viewfinder.api.schemas.results import FeedbackBody, LiveAccuracy, ResultAnswer, SpanQuery
from viewfinder.api.services import Services, ServicesDep, owner_of, principal_of
from viewfinder.errors import ModelNotFoundError
from viewfinder.results.live import live_accuracy
from viewfinder.storage.opening import open_results
from viewfinder.storage.results.wanted import Wanted
from viewfinder.types import is_model_name

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Result
    from viewfinder.storage.results.table import Results

router = APIRouter(prefix="/v1", tags=["results"])


@router.put("/results/{identifier}/feedback", openapi_extra=json_body(FeedbackBody))
async def give_feedback(services: ServicesDep, identifier: str, request: Request) -> ResultAnswer:
    """Say what the photo shows, in place of what was said before; also where the answer is right.

    A key without the scope `manage` says so of its own results only.
    """
    body = await read_json(FeedbackBody, request)
    reviewed = await _review(services, identifier, request, body)
    return Renderer(services).answer(reviewed)


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

    return await find_result(services, identifier, review)
