"""Problems of a server (RFC 9457) to the exceptions of `viewfinder.errors`."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from viewfinder.errors import RequestError, ServiceError, ViewfinderError

_FIRST_OF_SERVICE = 500


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """An error, as a server tells it; `code` is stable, `detail` is for people."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str
    code: str
    error: str = ""
    request_id: str | None = None
    errors: tuple[FieldError, ...] | None = None


def to_error(problem: Problem, retry_after_s: int | None = None) -> ViewfinderError:
    """The exception that a problem means: of the class that has its code.

    A code that this release does not know, or has no class for, is a `RequestError` or a
    `ServiceError`, with the server's code.

    Args:
        problem: What the server said.
        retry_after_s: When it said to try again.
    """
    base = ServiceError if problem.status >= _FIRST_OF_SERVICE else RequestError
    kind = _BY_CODE.get(problem.code, base)
    error = kind.__new__(kind)
    # Some of these cannot be made without a moment to try again, which an item of a batch lacks.
    ViewfinderError.__init__(error, problem.detail)
    error.code = problem.code
    error.status = problem.status
    error.request_id = problem.request_id
    error.retry_after_s = retry_after_s
    return error


def _leaves(base: type[ViewfinderError]) -> Iterator[type[ViewfinderError]]:
    for child in base.__subclasses__():
        yield from _leaves(child)
        yield child


_BY_CODE = {kind.code: kind for base in (RequestError, ServiceError) for kind in _leaves(base)}
