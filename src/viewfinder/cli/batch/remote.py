"""Answers of a server elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from viewfinder.cli.batch.answers import ANSWERED, Line
from viewfinder.errors import NotReadyError, RemoteError
from viewfinder.types import ServedModel

if TYPE_CHECKING:
    import httpx2

    from viewfinder.settings import Limits

_AT_ONCE = 8
# Of silence; a server may have a model to load first.
_TIMEOUT_S = 120.0
# After which it may be asked once more, whatever it says.
_LONGEST_WAIT_S = 60.0
# After so many photos in a row that nobody took, nobody is there.
_MOST_UNHEARD = 3 * _AT_ONCE
# What the next photo would be told as well.
_HOPELESS = frozenset({"unauthenticated", "forbidden", "model_not_found", "version_not_found"})
_PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server that does not answer, or has no room.

    Attributes:
        backoff_s: Seconds before each new try where the server says nothing of when.
        total_s: Seconds for one photo, where it does.
    """

    backoff_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    total_s: float = 3600.0


class Remote:
    """A server, asked for several photos side by side."""

    at_once = _AT_ONCE

    def __init__(
        self,
        client: "httpx2.AsyncClient",
        limits: "Limits",
        asked: Mapping[str, Any],
        patience: Patience,
        model: ServedModel | None,
    ) -> None:
        self.model = model
        self._client = client
        self._limits = limits
        self._asked = dict(asked)
        self._patience = patience
        self._first = asyncio.Lock()
        self._unheard = 0

    async def answer(self, data: bytes) -> Line:
        """See `Answerer.answer`; the version that answers first is asked for all others."""
        from viewfinder.serving.compute import check_length

        check_length(data, self._limits)
        if self.model is None:
            async with self._first:
                if (line := await self._ask_first(data)) is not None:
                    return line
        return await self._ask(data)

    async def _ask_first(self, data: bytes) -> Line | None:
        """As `_ask`, and hold on to who answers; None if that is known by now."""
        if self.model is not None:
            return None
        line = await self._ask(data)
        if "error" not in line:
            self.model = ServedModel(**line["model"])
        return line

    async def _ask(self, data: bytes) -> Line:
        import httpx2

        asked = dict(self._asked)
        if self.model is not None:
            asked["model"] = f"{self.model.name}@{self.model.version}"
        waits, last = iter(self._patience.backoff_s), time.monotonic() + self._patience.total_s
        while True:
            answer: httpx2.Response | None = None
            try:
                answer = await self._client.post("v1/classify", params=asked, content=data)
            except httpx2.RequestError:
                wait = next(waits, None)
            else:
                self._unheard = 0
                if answer.status_code not in _PASSING:
                    return _line(answer)
                wait = _retry_after(answer) or next(waits, None)
            if wait is None or time.monotonic() + wait > last:
                return _line(answer) if answer is not None else self._not_heard()
            await asyncio.sleep(wait)

    def _not_heard(self) -> Line:
        self._unheard += 1
        if self._unheard >= _MOST_UNHEARD:
            raise RemoteError("the server can no longer be reached")
        raise NotReadyError("The server cannot be reached.")


@asynccontextmanager
async def answering_there(
    url: str,
    key: str | None,
    limits: "Limits",
    asked: Mapping[str, Any],
    *,
    model: ServedModel | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[Remote]:
    """Let a server answer.

    A redirect is not followed: the key would go with it. Proxies from the environment are ignored.

    Args:
        url: Where the server is.
        key: Shown to it.
        limits: Of a photo; a longer one is not sent.
        asked: The parameters of each request.
        model: Who is to answer, if that is known.
        patience: How long to wait.

    Raises:
        RemoteError: There is no server, or it is none of Viewfinder's.
    """
    import httpx2

    headers = {"Content-Type": "image/*", "Accept": "application/json"}
    if key is not None:
        headers["X-API-Key"] = key
    async with httpx2.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=_TIMEOUT_S,
        verify=httpx2.create_ssl_context(),
        trust_env=False,
    ) as client:
        try:
            health = await client.get("health/live")
        except httpx2.RequestError as error:
            raise RemoteError(f"no server can be reached at {url}") from error
        if health.status_code != HTTPStatus.OK or "version" not in _body(health):
            raise RemoteError(f"what answers at {url} is no Viewfinder")
        yield Remote(client, limits, asked, patience or Patience(), model)


def _line(answer: "httpx2.Response") -> Line:
    body = _body(answer)
    if answer.status_code == HTTPStatus.OK:
        names = {"class" if name == "label" else name for name in ANSWERED}
        if names <= body.keys():
            return {name: body[name] for name in body if name in names}
    elif isinstance(body.get("code"), str) and isinstance(body.get("detail"), str):
        if body["code"] in _HOPELESS:
            raise RemoteError(f"the server refuses: {body['detail']}")
        return {"error": body}
    raise NotReadyError(f"The server answers {answer.status_code}, and not as Viewfinder does.")


def _body(answer: "httpx2.Response") -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(answer: "httpx2.Response") -> float | None:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isdecimal() else None
