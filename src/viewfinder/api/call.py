"""A request for answers, as far as its head says it: how, until when, for whom."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError

from viewfinder.api.schemas.classify import ClassifyOptions
from viewfinder.api.services import Services, owner_of, principal_of, services_of
from viewfinder.types import Prediction

Options = TypeVar("Options", bound=ClassifyOptions)

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_LONGEST_MS = 24 * 3600 * 1000
MILLISECONDS: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=1, le=_LONGEST_MS)])


@dataclass(frozen=True, slots=True)
class Call:
    """One request for answers.

    Attributes:
        services: Who can give them.
        options: How, as far as the query says it.
        deadline: On the clock of `time.monotonic`.
        caller: Who asks, as far as that is known; no secret.
        owner: The id of the key that asks; None where none is asked for.
        predictions: The answers so far, for those who log and trace.
    """

    services: Services
    options: ClassifyOptions
    deadline: float
    caller: str | None
    owner: str | None
    predictions: list[Prediction]


def read_call(request: Request) -> Call:
    """Read the head of a request for answers.

    By hand, and described by hand in `api/openapi.py`: FastAPI takes a fifth of a millisecond for
    it, and the event loop has one for everything.

    Raises:
        RequestValidationError: An option, or the header of the deadline, is out of its range.
    """
    services = services_of(request.scope)
    return Call(
        services,
        read_options(request, ClassifyOptions),
        deadline_of(request),
        caller_of(request),
        owner_of(request.scope),
        request.scope["state"].setdefault("predictions", []),
    )


def deadline_of(request: Request) -> float:
    """Until when a client, and the server, will wait, on the clock of `time.monotonic`.

    Raises:
        RequestValidationError: The header of the deadline is not a whole number in its range.
    """
    limit = services_of(request.scope).settings.request_timeout_s
    began: float = request.scope["state"]["began"]
    return began + patience(request.headers.get(TIMEOUT_HEADER), limit)


def read_options(request: Request, kind: type[Options]) -> Options:
    """The options that the query says.

    Raises:
        RequestValidationError: One is out of its range.
    """
    if not request.scope["query_string"]:
        return kind()
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise _invalid("query", error=error) from error


def merge_options(query: Options, body: ClassifyOptions) -> Options:
    """The options of both; what the query says counts."""
    given = body.model_dump(include=set(type(query).model_fields), exclude_unset=True)
    said = query.model_fields_set
    return query.model_copy(update={name: given[name] for name in given if name not in said})


def caller_of(request: Request) -> str | None:
    """The principal; on a server that asks for no key, a digest of the one that is shown anyway."""
    principal = principal_of(request.scope)
    if principal is not None:
        return principal.id
    shown = request.headers.get("x-api-key") or request.headers.get("authorization")
    return hashlib.sha256(shown.encode()).hexdigest()[:32] if shown else None


def patience(header: str | None, limit: float) -> float:
    """Seconds that a client, and the server, will wait.

    Args:
        header: What the client says, in milliseconds.
        limit: The server's own, in seconds.

    Raises:
        RequestValidationError: The header is not a whole number in its range.
    """
    if header is None:
        return limit
    try:
        return min(limit, MILLISECONDS.validate_python(header) / 1000)
    except ValidationError as error:
        raise _invalid("header", TIMEOUT_HEADER, error=error) from error


def _invalid(*where: str, error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**e, "loc": (*where, *e["loc"])} for e in error.errors()])
