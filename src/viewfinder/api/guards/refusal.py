"""How a guard says no."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from viewfinder.api.errors import ProblemResponse, headers_of, to_problem
from viewfinder.errors import RequestError, ServiceError


async def refuse(
    error: RequestError | ServiceError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer with the problem, in place of everything further in."""
    given = {**headers_of(error), **(headers or {})}
    problem = to_problem(error, scope["state"]["request_id"])
    await ProblemResponse(problem, given)(scope, receive, send)
