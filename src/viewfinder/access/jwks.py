"""The public keys of an OpenID Connect provider, fetched in the background."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httpx2
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from viewfinder.errors import ViewfinderError
from viewfinder.net.addresses import is_loopback
from viewfinder.net.client import Client

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""What is accepted: signatures that only the provider can make, and never a shared secret."""

_DISCOVERY = "/.well-known/openid-configuration"
_FRESH_S = 300.0
_RETRY_S = 5.0
_UNKNOWN_S = 30.0
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_PATIENCE_S = 15.0
# Somebody waits for an answer.
_CALLER_S = 2.0
_LONGEST = 1024 * 1024
# A TimeoutError is an OSError.
_FAILURES = (ViewfinderError, OSError, TypeError, ValueError, RecursionError, PyJWTError)


class ProviderKeys:
    """Keeps the keys of a provider, by their `kid`.

    They are fetched again every five minutes; a provider that is away leaves the last ones. A
    `kid` that is not known fetches them at once, but not more than every thirty seconds: anybody
    can make up a `kid`.

    Args:
        issuer: The provider, as its tokens name it.
        jwks_url: Where the keys are; None to ask the provider's discovery.
        clock: Seconds that only grow.
    """

    def __init__(
        self, issuer: str, jwks_url: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: dict[str | None, PyJWK] = {}
        self._asked = -_UNKNOWN_S
        self._away = False
        # No redirects and no proxies, a bounded head, resolvers of its own. The operator says who
        # the provider is: it may be inside.
        self._client = Client(allow_private=True)
        self._fetching: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fetch the keys, and keep them fresh; a provider that is away is tried again."""
        self._asked = self._clock() - _UNKNOWN_S
        await self._fetch()
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop fetching."""
        for task in (self._following, self._fetching):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        await self._client.close()

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self._keys)

    async def find(self, kid: str | None) -> PyJWK | None:
        """The key of that name; without a name, the only one there is."""
        key = self._pick(kid)
        if key is None and (self._fetching is not None or self._may_ask()):
            await self._fetch_once()
            key = self._pick(kid)
        return key

    def _pick(self, kid: str | None) -> PyJWK | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _may_ask(self) -> bool:
        now = self._clock()
        if now - self._asked < _UNKNOWN_S:
            return False
        self._asked = now
        return True

    async def _fetch_once(self) -> None:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        # Who leaves takes nothing from the others who wait; nor does anybody wait for long.
        await asyncio.wait({self._fetching}, timeout=_CALLER_S)

    def _fetched(self, _task: object) -> None:
        self._fetching = None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_RETRY_S if self._away else _FRESH_S)
            await self._fetch()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self._keys = await self._read()
        except _FAILURES as error:
            if not self._away:
                reason = "the provider's keys make no sense"
                if not isinstance(error, PyJWTError):
                    reason = str(error) or "no answer"
                logger.warning("the keys of %s cannot be fetched: %s", self._issuer, reason)
            self._away = True
            return
        except Exception:
            logger.exception("the keys of %s cannot be fetched", self._issuer)
            self._away = True
            return
        if self._away:
            logger.info("the keys of %s can be fetched again", self._issuer)
        self._away = False

    async def _read(self) -> dict[str | None, PyJWK]:
        url = self._jwks_url
        if url is None:
            found = await self._get(self._issuer.rstrip("/") + _DISCOVERY)
            if found.get("issuer") != self._issuer:
                raise ValueError("its discovery names another issuer")
            url = str(found.get("jwks_uri"))
        usable = [
            key
            for key in PyJWKSet.from_dict(await self._get(url))
            if key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
        ]
        return {key.key_id: key for key in usable}

    async def _get(self, address: str) -> dict[str, Any]:
        url = httpx2.URL(address)
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
            raise ValueError("its address is not https")
        body = b""
        async with self._client.stream("GET", url, _HEADERS) as answer:
            if answer.status != HTTPStatus.OK:
                raise ValueError(f"it answers {answer.status}")
            async for piece in answer.aiter_stream():
                body += piece
                if len(body) > _LONGEST:
                    raise ValueError("it sends more than a megabyte")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise TypeError("it sends no JSON object")
        return found
