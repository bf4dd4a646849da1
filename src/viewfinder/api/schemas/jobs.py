"""The shapes of jobs in the API's JSON."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator

from viewfinder.api.errors import CATALOG, make_problem
from viewfinder.api.schemas.answer import Answer
from viewfinder.api.schemas.classify import Classification, ClassifyOptions
from viewfinder.api.schemas.problem import Problem
from viewfinder.api.schemas.webhooks import CallbackAnswer

if TYPE_CHECKING:
    from viewfinder.storage.jobs.rows import Job, JobItem

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobOptions(ClassifyOptions):
    """How to answer, and whom to tell."""

    explain: Literal["none"] = Field(
        "none", description="Jobs make no heat maps: ask `/v1/classify` for one photo again."
    )
    callback_url: str | None = Field(
        None,
        description="Where to send a signed message when the job is over: `http` or `https`, at a "
        "public address.",
    )

    @field_validator("explain", mode="before")
    @classmethod
    def _no_heat_maps(cls, given: Any) -> Any:
        if given == "heatmap":
            raise ValueError(
                "A job makes no heat maps, as its results are kept; ask /v1/classify for one photo"
            )
        return given


class UrlsBody(JobOptions):
    """Many images as JSON, to be fetched while the job is worked on."""

    urls: list[str] = Field(
        description="Where the images are, as `url` of one. Only where the server has "
        "`fetch.enabled` on.",
        json_schema_extra={"minItems": 1},
    )


class JobModel(Answer):
    """Who answers, chosen when the job was accepted."""

    name: str
    version: int


class JobCounts(Answer):
    """How many images a job has."""

    total: int = Field(description="Images.")
    succeeded: int = Field(description="Answered.")
    failed: int = Field(description="Could not be answered; the results say why.")
    waiting: int = Field(description="Not worked on yet, or never, where the job is over.")


class JobAnswer(Answer):
    """A job, and where it stands."""

    id: str = Field(description="UUIDv7.")
    created: datetime
    started: datetime | None = Field(description="Null while it is queued.")
    finished: datetime | None = Field(description="Null until it is over.")
    state: State = Field(
        description="`succeeded` once every image was worked on, also where some, or all, failed; "
        "`failed` where the job could not be carried out, as `error` says."
    )
    model: JobModel
    counts: JobCounts
    error: Problem | None = Field(description="Why it failed.")
    key_id: str | None = Field(description="Of the key that sent it.")
    callback: CallbackAnswer | None = Field(description="Null where nobody is to be told.")

    @classmethod
    def of(cls, job: "Job", callback: CallbackAnswer | None = None) -> Self:
        """Render a job.

        Args:
            job: The job.
            callback: How its callback stands, if that is known.
        """
        if callback is None and job.callback_url:
            callback = CallbackAnswer(url=job.callback_url)
        return cls(
            id=job.id,
            created=job.created,
            started=job.started,
            finished=job.finished,
            state=job.state,
            model=JobModel(name=job.model, version=job.version),
            counts=JobCounts(
                total=job.total, succeeded=job.succeeded, failed=job.failed, waiting=job.waiting
            ),
            error=_problem(job.error_code, job.error_detail) if job.error_code else None,
            key_id=job.owner,
            callback=callback,
        )


class JobList(Answer):
    """Jobs, newest first."""

    jobs: list[JobAnswer]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class JobResult(Answer):
    """One image of a job: its answer, or its error."""

    index: int = Field(description="The image's place in the job, from 0.")
    filename: str = Field(description="What its sender calls it; for one by URL, that.")
    result: Classification | None = Field(None, description="Left out where there is an error.")
    error: Problem | None = Field(None, description="Left out where there is a result.")


class JobResults(Answer):
    """Images of a job that were worked on, in their order."""

    results: list[JobResult]
    next: str | None = Field(
        description="The `cursor` of the next page; null where no more are finished so far."
    )


def render_item(item: "JobItem") -> dict[str, Any]:
    """An image as JSON, in the shape of `JobResult`: its answer is JSON already."""
    rendered: dict[str, Any] = {"index": item.position, "filename": item.name}
    if item.answer is not None:
        return rendered | {"result": item.answer}
    if item.error is not None:
        problem = _problem(item.error["code"], item.error["detail"])
    else:
        problem = make_problem("result_not_found", "The result has been erased.")
    return rendered | {"error": problem.model_dump(exclude_none=True)}


def _problem(code: str, detail: str | None) -> Problem:
    """What was written down, maybe by a release that knew other codes."""
    return make_problem(code if code in CATALOG else "internal_error", detail or "")
