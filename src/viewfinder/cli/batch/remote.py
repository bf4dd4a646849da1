"""Answers of a server elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from viewfinder.cli.batch.answers import ANSWERED, Line
from viewfinder.errors import NotReadyError, RemoteError
from viewfinder.imaging.length import check_length
from viewfinder.types import ServedModel

if TYPE_CHECKING:
    from viewfinder.client.aio import AsyncClient
    from viewfinder.client.call import Answer, Call
    from viewfinder.client.sending.retrying import Retries
    from viewfinder.settings import Limits

_AT_ONCE = 8
# For one photo: a server may be full of what others ask.
_TIMEOUT_S = 3600.0
# For one try; a server may have a model to load first.
_TRY_S = 120.0
# After so many photos in a row that nobody took, nobody is there.
_MOST_UNHEARD = 3 * _AT_ONCE
# What the next photo would be told as well.
_HOPELESS = frozenset({"unauthenticated", "forbidden", "model_not_found", "version_not_found"})


class Remote:
    """A server, asked for several photos side by side."""

    at_once = _AT_ONCE

    def __init__(
        self,
        client: "AsyncClient",
        limits: "Limits",
        asked: Mapping[str, Any],
        model: ServedModel | None,
    ) -> None:
        self.model = model
        self._client = client
        self._limits = limits
        self._asked = dict(asked)
        self._first = asyncio.Lock()
        self._unheard = 0

    async def answer(self, data: bytes) -> Line:
        """See `Answerer.answer`; the version that answers first is asked for all others."""
        check_length(data, self._limits.image_bytes)
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
        try:
            line = await self._client.send(self._call(data))
        except RemoteError as error:
            if error.status is not None:
                self._unheard = 0
                raise NotReadyError(
                    f"The server answers {error.status}, and not as Viewfinder does."
                ) from error
            raise self._not_heard() from error
        self._unheard = 0
        if "error" in line and line["error"]["code"] in _HOPELESS:
            raise RemoteError(f"the server refuses: {line['error']['detail']}")
        return line

    def _call(self, data: bytes) -> "Call[Line]":
        from viewfinder.client.call import Call

        asked = dict(self._asked)
        if self.model is not None:
            asked["model"] = f"{self.model.name}@{self.model.version}"
        return Call("POST", "/v1/classify", _line, asked, {"Content-Type": "image/*"}, data)

    def _not_heard(self) -> RemoteError | NotReadyError:
        self._unheard += 1
        if self._unheard >= _MOST_UNHEARD:
            return RemoteError("the server can no longer be reached")
        return NotReadyError("The server cannot be reached.")


@asynccontextmanager
async def answering_there(
    url: str,
    key: str | None,
    limits: "Limits",
    asked: Mapping[str, Any],
    *,
    model: ServedModel | None = None,
    retries: "Retries | None" = None,
) -> AsyncIterator[Remote]:
    """Let a server answer.

    Args:
        url: Where the server is.
        key: Shown to it.
        limits: Of a photo; a longer one is not sent.
        asked: The parameters of each request.
        model: Who is to answer, if that is known.
        retries: How long to wait for a server that does not answer, or has no room.

    Raises:
        RemoteError: There is no server, or it is none of Viewfinder's.
    """
    from viewfinder.client.sending.retrying import Retries

    # As many tries as one photo may take; the run as a whole ends when nobody is there.
    usual = Retries(attempts=5, backoff_s=1.0, budget=4.0, reserve=100, patient=True, try_s=_TRY_S)
    async with _client(url, key, Retries(attempts=1)) as asking:
        try:
            await asking.live()
        except RemoteError as error:
            if error.status is None:
                raise RemoteError(f"no server can be reached at {url}") from error
            raise RemoteError(f"what answers at {url} is no Viewfinder") from error
    async with _client(url, key, retries or usual) as client:
        yield Remote(client, limits, asked, model)


def _client(url: str, key: str | None, retries: "Retries") -> "AsyncClient":
    import httpx2

    from viewfinder.client.aio import AsyncClient

    # Of the environment only SSL_CERT_FILE and SSL_CERT_DIR count: the person says whom to trust.
    trusted = httpx2.create_ssl_context()
    try:
        return AsyncClient(url, key=key, verify=trusted, retries=retries, timeout_s=_TIMEOUT_S)
    except ValueError as error:  # it says what is wanted of the address, and does not show it
        raise RemoteError(str(error)) from None


def _line(answer: "Answer") -> Line:
    from viewfinder.client.call import strange

    body = _body(answer)
    if answer.status == HTTPStatus.OK:
        names = {"class" if name == "label" else name for name in ANSWERED}
        if names <= body.keys():
            return {name: body[name] for name in body if name in names}
    elif isinstance(body.get("code"), str) and isinstance(body.get("detail"), str):
        return {"error": body}
    raise strange(answer)


def _body(answer: "Answer") -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
