"""Every operation of the API as a call. Plain functions: nothing is sent here."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

from viewfinder.client.answers.accuracy import LiveAccuracy
from viewfinder.client.answers.classify import Batch, Classification
from viewfinder.client.answers.health import Health, Readiness
from viewfinder.client.answers.jobs import Job, JobPage, JobResult, JobResultPage
from viewfinder.client.answers.models import Label, Labels, ModelInfo, Models, Routing, Version
from viewfinder.client.answers.results import Result, ResultPage
from viewfinder.client.call import KEY_HEADER, Answer, Call, as_json, failure, success
from viewfinder.client.pages import Pages, pages_of
from viewfinder.client.photos.forms import Form
from viewfinder.errors import InvalidParameterError, ViewfinderError
from viewfinder.shared.options import check_options
from viewfinder.types import Explain, Prediction

_JSON = {"Content-Type": "application/json"}


def classify(
    photo: bytes | None,
    url: str | None,
    *,
    model: str | None,
    top_k: int,
    min_confidence: float,
    explain: Explain,
) -> Call[Prediction]:
    """One photo, as a raw body, or the address of one."""
    check_options(top_k, min_confidence)
    read = success(Classification)
    return Call(
        "POST",
        "/v1/classify",
        # All classes are asked for: else the place of the top one would not be known.
        lambda answer: read(answer).prediction(min_confidence),
        {"model": model, "top_k": top_k, "explain": explain},
        {"Content-Type": "image/*"} if url is None else _JSON,
        as_json(url=url) if photo is None else photo,
    )


def classify_batch(
    form: Form,
    *,
    model: str | None,
    top_k: int,
    min_confidence: float,
    explain: Explain,
) -> Call[list[Prediction | ViewfinderError]]:
    """Many photos in one request."""
    check_options(top_k, min_confidence)
    read = success(Batch)
    return Call(
        "POST",
        "/v1/batch-classify",
        lambda answer: [one.outcome(min_confidence) for one in read(answer).results],
        {"model": model, "top_k": top_k, "explain": explain},
        body=form,
    )


def submit(
    body: Form | Sequence[str],
    key: str,
    *,
    model: str | None,
    top_k: int,
    min_confidence: float,
    callback_url: str | None,
) -> Call[Job]:
    """A new job, of files or of addresses. Its key makes it safe to send again."""
    check_options(top_k, min_confidence)
    return Call(
        "POST",
        "/v1/jobs",
        success(Job),
        {
            "model": model,
            "top_k": top_k,
            "min_confidence": min_confidence,
            "callback_url": callback_url,
        },
        {KEY_HEADER: key, **({} if isinstance(body, Form) else _JSON)},
        body if isinstance(body, Form) else as_json(urls=list(body)),
    )


def job(identifier: str) -> Call[Job]:
    """One job."""
    return Call("GET", f"/v1/jobs/{_part(identifier)}", success(Job))


def cancel(identifier: str) -> Call[Job]:
    """Call a job off: sent a second time, that would be refused."""
    return Call("DELETE", f"/v1/jobs/{_part(identifier)}", success(Job), repeatable=False)


def jobs(state: str | None) -> Pages[Job]:
    """All jobs."""
    return pages_of("/v1/jobs", {"state": state}, JobPage, lambda page: page.jobs)


def job_results(identifier: str, failed: bool | None) -> Pages[JobResult]:
    """What came of the images of a job."""
    return pages_of(
        f"/v1/jobs/{_part(identifier)}/results",
        {"failed": failed},
        JobResultPage,
        lambda page: page.results,
    )


def models() -> Call[Models]:
    """Every model."""
    return Call("GET", "/v1/models", success(Models))


def model(name: str) -> Call[ModelInfo]:
    """One model."""
    return Call("GET", _model(name), success(ModelInfo))


def version(name: str, number: int) -> Call[Version]:
    """One version of a model."""
    return Call("GET", f"{_model(name)}/versions/{number}", success(Version))


def labels(name: str, number: int | None) -> Call[tuple[Label, ...]]:
    """The classes of a model."""
    read = success(Labels)
    below = "" if number is None else f"/versions/{number}"
    return Call("GET", f"{_model(name)}{below}/labels", lambda answer: read(answer).labels)


def set_alias(name: str, alias: str, number: int) -> Call[Routing]:
    """Let an alias mean a version; as often as you like."""
    path = f"{_model(name)}/aliases/{_part(alias)}"
    return Call("PUT", path, success(Routing), headers=_JSON, body=as_json(version=number))


def rollback(name: str, key: str) -> Call[Routing]:
    """Let the version before answer. Its key makes it safe to send again."""
    return Call("POST", f"{_model(name)}/rollback", success(Routing), headers={KEY_HEADER: key})


def result(identifier: str) -> Call[Result]:
    """One answer that was given."""
    return Call("GET", f"/v1/results/{_part(identifier)}", success(Result))


def results(
    *,
    model: str | None,
    label: str | None,
    min_confidence: float | None,
    max_confidence: float | None,
    since: datetime | None,
    until: datetime | None,
    reviewed: bool | None,
    order: str,
) -> Pages[Result]:
    """Answers that were given."""
    wanted = {
        "model": model,
        "class": label,
        "min_confidence": min_confidence,
        "max_confidence": max_confidence,
        "since": moment(since),
        "until": moment(until),
        "reviewed": reviewed,
        "order": order,
    }
    return pages_of("/v1/results", wanted, ResultPage, lambda page: page.results)


def feedback(identifier: str, label: str, note: str | None) -> Call[Result]:
    """Say what a photo shows; as often as you like."""
    path = f"/v1/results/{_part(identifier)}/feedback"
    body = as_json(label=label, note=note)
    return Call("PUT", path, success(Result), headers=_JSON, body=body)


def live_accuracy(name: str, since: datetime | None, until: datetime | None) -> Call[LiveAccuracy]:
    """How good the answers were."""
    params = {"since": moment(since), "until": moment(until)}
    return Call("GET", f"{_model(name)}/live-accuracy", success(LiveAccuracy), params)


def live() -> Call[Health]:
    """Whether the process is alive."""
    return Call("GET", "/health/live", success(Health))


def ready() -> Call[Readiness]:
    """Whether photos are answered: that they are not is an answer too."""
    read = success(Readiness)

    def parse(answer: Answer) -> Readiness:
        if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
            return read(answer)
        problem = answer.problem
        if problem is None or problem.code != "not_ready":
            raise failure(answer)
        return Readiness(status="not_ready", detail=problem.detail)

    return Call("GET", "/health/ready", parse, waits=False)


def moment(given: datetime | None) -> str | None:
    """A moment as the API takes it.

    Raises:
        InvalidParameterError: It does not say in which time zone it is.
    """
    if given is None:
        return None
    if given.tzinfo is None:
        raise InvalidParameterError("since, until: Input should have a time zone")
    return given.isoformat()


def _model(name: str) -> str:
    return f"/v1/models/{_part(name)}"


def _part(text: str) -> str:
    """A name or an id as one part of a path, which cannot lead elsewhere.

    Raises:
        InvalidParameterError: It is none: servers take even a quoted `/` for one.
    """
    if "/" in text or not text.strip("."):
        raise InvalidParameterError(f"{text!r} is no name, and no id")
    return quote(text, safe="")
