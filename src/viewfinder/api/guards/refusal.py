"""How a guard says no."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from viewfinder.api.errors import headers_of, problem_response, to_problem
from viewfinder.api.guards.head import header
from viewfinder.errors import RequestError, ServiceError


async def refuse(
    error: RequestError | ServiceError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer with the problem, in place of everything further in.

    A client that asked whether it may send its body (`Expect`) will not send it now, and the parser
    would take what comes next for that body: such a connection is closed.
    """
    given = {**headers_of(error), **(headers or {})}
    if header(scope, b"expect") is not None:
        given["Connection"] = "close"
    problem = to_problem(error, scope["state"]["request_id"])
    await problem_response(problem, given)(scope, receive, send)
