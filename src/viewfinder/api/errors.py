"""Errors to problem+json (RFC 9457). The only place that knows HTTP statuses."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from viewfinder.api.schemas.problem import FieldError, Problem
from viewfinder.errors import (
    DatabaseError,
    MalformedRequestError,
    RequestError,
    ServiceError,
    ViewfinderError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

CATALOG: Mapping[str, tuple[int, str]] = {
    "malformed_request": (400, "Malformed request"),
    "unauthenticated": (401, "Unauthenticated"),
    "forbidden": (403, "Forbidden"),
    "url_fetch_disabled": (403, "Images by URL are switched off"),
    "model_not_found": (404, "Model not found"),
    "version_not_found": (404, "Version not found"),
    "document_not_found": (404, "Document not found"),
    "job_not_found": (404, "Job not found"),
    "result_not_found": (404, "Result not found"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "Method not allowed"),
    "request_timeout": (408, "Request timeout"),
    "conflict": (409, "Conflict"),
    "idempotency_in_progress": (409, "The same request is being worked on"),
    "payload_too_large": (413, "Payload too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "invalid_image": (422, "Invalid image"),
    "image_too_large": (422, "Image too large"),
    "invalid_parameter": (422, "Invalid parameter"),
    "idempotency_key_reused": (422, "Idempotency key reused"),
    "blocked_address": (422, "Blocked address"),
    "fetch_failed": (422, "Fetch failed"),
    "rate_limited": (429, "Rate limited"),
    "headers_too_large": (431, "Headers too large"),
    "internal_error": (500, "Internal error"),
    "overloaded": (503, "Overloaded"),
    "not_ready": (503, "Not ready"),
    "deadline_exceeded": (504, "Deadline exceeded"),
}
"""Status and title of every code."""

_OWN_FAULT = 500
_INTERNAL = "Something went wrong on the server. Its log has the details under this request id."
_NO_DATABASE = "The database cannot be used now; try again later. Photos are answered all the same."
_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}


def to_problem(
    error: Exception, request_id: str | None = None, *, fields: Sequence[FieldError] | None = None
) -> Problem:
    """Render an error. What is not meant for the caller becomes a plain `internal_error`."""
    if isinstance(error, RequestError | ServiceError):
        return make_problem(error.code, error.detail, request_id, fields=fields)
    if isinstance(error, DatabaseError):
        return make_problem("not_ready", _NO_DATABASE, request_id, fields=fields)
    return make_problem("internal_error", _INTERNAL, request_id, fields=fields)


def make_problem(
    code: str,
    detail: str,
    request_id: str | None = None,
    *,
    fields: Sequence[FieldError] | None = None,
) -> Problem:
    """Render a code of the catalogue."""
    status, title = CATALOG[code]
    return Problem(
        type=f"urn:viewfinder:error:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        error=detail,
        request_id=request_id,
        errors=list(fields) if fields else None,
    )


def headers_of(error: RequestError | ServiceError) -> dict[str, str]:
    """What an error says beside its problem: when to ask again, and that nothing more is read."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.code == "payload_too_large":
        headers["Connection"] = "close"  # the rest of the body is not worth reading
    return headers


def is_own_fault(status: int) -> bool:
    """Whether a status says that the server is at fault, and not who asks."""
    return status >= _OWN_FAULT


class ProblemResponse(Response):
    """A problem as an answer; it leaves its code in the state of the request, as `problem`.

    Args:
        problem: What to answer.
        headers: Beside those of every answer.
    """

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.model_dump_json(exclude_none=True), problem.status, headers)
        self._code = problem.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        scope.setdefault("state", {})["problem"] = self._code
        await super().__call__(scope, receive, send)


def install(app: FastAPI) -> None:
    """Render every error of the application as a problem."""

    @app.exception_handler(ViewfinderError)
    async def on_viewfinder_error(request: Request, error: ViewfinderError) -> Response:
        if isinstance(error, DatabaseError):
            logger.warning("%s", error.detail)
            return ProblemResponse(to_problem(error, request_id(request)), {"Retry-After": "5"})
        if not isinstance(error, RequestError | ServiceError):
            raise error  # the outermost guard logs it
        return ProblemResponse(to_problem(error, request_id(request)), headers_of(error))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        if any(item["type"] == "json_invalid" for item in error.errors()):
            broken = MalformedRequestError("The body is not valid JSON.")
            return ProblemResponse(to_problem(broken, request_id(request)))
        fields = [_field_error(item) for item in error.errors()]
        detail = "; ".join(f"{field.field}: {field.message}" for field in fields)
        problem = make_problem("invalid_parameter", detail, request_id(request), fields=fields)
        return ProblemResponse(problem)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        code = _OF_STATUS.get(error.status_code, "malformed_request")
        detail = {
            "not_found": "There is nothing at this address; /docs shows what there is.",
            "method_not_allowed": f"This address does not take {request.method}.",
            "payload_too_large": "The body is larger than this address takes.",
        }.get(code, "The request could not be read.")
        return ProblemResponse(make_problem(code, detail, request_id(request)), error.headers)


def request_id(request: Request) -> str | None:
    """The id that the outermost guard gave this request."""
    identifier: str | None = request.scope.get("state", {}).get("request_id")
    return identifier


def _field_error(item: dict[str, Any]) -> FieldError:
    where = [str(part) for part in item["loc"] if part not in {"query", "body", "header", "path"}]
    # Pydantic's own words for these name the class that it wanted.
    message = "Input should be an object" if item["type"].startswith("model_") else item["msg"]
    return FieldError(
        field=".".join(where) or "body", message=str(message).removeprefix("Value error, ")
    )
