"""`POST /v1/jobs` and below: images by the thousand, in the background."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from viewfinder.api.bodies.jobs import check_callback, read_images
from viewfinder.api.call import TIMEOUT_HEADER, caller_of, merge_options, patience, read_options
from viewfinder.api.guards.idempotency import read_key
from viewfinder.api.guards.paths import JOBS
from viewfinder.api.openapi import JOB
from viewfinder.api.paging import broken_cursor, from_cursor, to_cursor
from viewfinder.api.rendered import RenderedJson
from viewfinder.api.schemas.jobs import (
    JobAnswer,
    JobList,
    JobOptions,
    JobResults,
    State,
    render_item,
)
from viewfinder.api.services import Services, ServicesDep, owner_of, principal_of, services_of
from viewfinder.api.webhooks import callback_of
from viewfinder.errors import JobNotFoundError
from viewfinder.jobs.opening import open_intake
from viewfinder.jobs.order import Order, make_request_key
from viewfinder.storage.opening import open_jobs

if TYPE_CHECKING:
    from viewfinder.storage.jobs.table import Jobs

router = APIRouter(prefix=JOBS, tags=["jobs"])

_LINES = "application/x-ndjson"
# At a time: what a client that reads line by line has to wait for, and memory to hold.
_LINES_AT_ONCE = 200
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")
_REPLAYED = {"Idempotency-Replayed": "true"}

Limit = Annotated[int, Query(ge=1, le=1000, description="Of one page.")]
Cursor = Annotated[str | None, Query(description="The `next` of the page before.")]


@router.post("", status_code=202, response_model=JobAnswer, openapi_extra=JOB)
async def submit(request: Request) -> Response:
    """Send many images: form files, one zip, or in JSON their URLs. They are answered later."""
    services = services_of(request.scope)
    query = read_options(request, JobOptions)
    check_callback(query.callback_url, services.settings)
    key, owner = read_key(request.scope), owner_of(request.scope)
    # What need not wait for gigabytes: whether there is such a model, and a place for the job.
    jobs = await open_jobs(services.database)
    if key is None:  # else it may be one that there is
        await jobs.check_room(services.settings.jobs.waiting)
    model = None if query.model is None else await _pin(request, services, query.model)
    async with open_intake(services.blobs, services.settings, hashed=key is not None) as intake:
        options = merge_options(query, await read_images(request, services, intake))
        check_callback(options.callback_url, services.settings)
        name, version = model or await _pin(request, services, options.model)
        order = Order(
            asked=options.model,
            model=name,
            version=version,
            top_k=options.top_k,
            min_confidence=options.min_confidence,
            callback_url=options.callback_url,
            owner=owner,
            request_key=None if key is None else make_request_key(owner, key),
        )
        job, is_new = await intake.accept(jobs, order, datetime.now(UTC))
    _wake(services)
    headers = {"Location": f"{JOBS}/{job.id}"} | ({} if is_new else _REPLAYED)
    return RenderedJson(JobAnswer.of(job).model_dump_json(), status_code=202, headers=headers)


@router.get("")
async def list_jobs(
    services: ServicesDep,
    state: Annotated[State | None, Query(description="Only those.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobList:
    """Jobs, newest first."""
    before = None if cursor is None else from_cursor(cursor)
    if before is not None and not _ID.fullmatch(before):
        raise broken_cursor()
    jobs = await open_jobs(services.database)
    found = await jobs.page(state=state, before=before, limit=limit + 1)
    page = found[:limit]
    return JobList(
        jobs=[JobAnswer.of(job) for job in page],
        next=to_cursor(page[-1].id) if len(found) > limit else None,
    )


@router.get("/{job_id}")
async def show_job(job_id: str, services: ServicesDep) -> JobAnswer:
    """A job, how far it is, and how its callback stands."""
    jobs = await open_jobs(services.database)
    job = await jobs.get(_checked(job_id))
    if job.callback_url is None:
        return JobAnswer.of(job)
    return JobAnswer.of(job, await callback_of(services.database, job.id))


@router.get(
    "/{job_id}/results",
    response_model=JobResults,
    responses={200: {"content": {_LINES: {"schema": {"type": "string"}}}}},
)
async def show_results(
    job_id: str,
    request: Request,
    services: ServicesDep,
    *,
    failed: Annotated[
        bool | None,
        Query(description="Only those with an error in place of an answer, or without."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """What came of the images so far: a page, or all that are left, a line of JSON for each."""
    after = -1 if cursor is None else _place(cursor)
    jobs = await open_jobs(services.database)
    job = await jobs.get(_checked(job_id))
    if _wants_lines(request):
        return StreamingResponse(_lines(jobs, job.id, after, failed=failed), media_type=_LINES)
    found = await jobs.items(job.id, after=after, limit=limit + 1, failed=failed)
    page = found[:limit]
    more = to_cursor(str(page[-1].position)) if len(found) > limit else None
    return RenderedJson(json.dumps({"results": [render_item(item) for item in page], "next": more}))


@router.delete("/{job_id}")
async def cancel(job_id: str, request: Request, services: ServicesDep) -> JobAnswer:
    """Call a job off. What has been answered stays; with the scope `classify`, one's own only."""
    jobs = await open_jobs(services.database)
    job = await jobs.get(_checked(job_id))
    principal = principal_of(request.scope)
    if principal is not None and "manage" not in principal.scopes and job.owner != principal.id:
        raise _no_such_job()
    cancelled = await jobs.cancel(job.id, datetime.now(UTC))
    _wake(services)  # there are images to delete
    return JobAnswer.of(cancelled)


def _wake(services: Services) -> None:
    if services.jobs is not None:
        services.jobs.wake()


async def _pin(request: Request, services: Services, model: str | None) -> tuple[str, int]:
    """The version that is to answer all of a job."""
    seconds = patience(request.headers.get(TIMEOUT_HEADER), services.settings.request_timeout_s)
    deadline = time.monotonic() + seconds
    slot = await services.models.get(model, caller_of(request), deadline=deadline)
    manifest = slot.bundle.manifest
    return manifest.name, manifest.version


async def _lines(jobs: "Jobs", job: str, after: int, *, failed: bool | None) -> AsyncIterator[str]:
    while items := await jobs.items(job, after=after, limit=_LINES_AT_ONCE, failed=failed):
        yield "".join(f"{json.dumps(render_item(item))}\n" for item in items)
        after = items[-1].position
        await asyncio.sleep(0)  # a client that reads quickly is not alone


def _wants_lines(request: Request) -> bool:
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(kind.partition(";")[0].strip() == _LINES for kind in accepted)


def _checked(job: str) -> str:
    if not _ID.fullmatch(job):
        raise _no_such_job()
    return job


def _no_such_job() -> JobNotFoundError:
    return JobNotFoundError("There is no such job.")


def _place(cursor: str) -> int:
    place = from_cursor(cursor)
    if not _PLACE.fullmatch(place):
        raise broken_cursor()
    return int(place)
