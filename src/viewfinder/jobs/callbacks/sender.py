"""One call to those who wait for a job: signed, timed, and what came of it."""

import asyncio
import logging
import re
from contextlib import aclosing
from datetime import UTC, datetime
from http import HTTPStatus

import httpcore2
import httpx2
from standardwebhooks import Webhook

from viewfinder import __version__
from viewfinder.errors import (
    BlockedAddressError,
    FetchFailedError,
)
from viewfinder.jobs.callbacks.schedule import Answer
from viewfinder.net.client import Client
from viewfinder.net.urls import read_url
from viewfinder.settings import WebhookSettings
from viewfinder.storage.deliveries import Delivery
from viewfinder.telemetry.tracing import Block, span

logger = logging.getLogger(__name__)


_MAY_SAY_WHEN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
# So much of an answer is taken before it is closed: a receiver that is cut off in the middle of
# "ok" logs an error. Nobody looks at it.
_POLITE_BYTES = 4096
_SECONDS = re.compile(r"[0-9]{1,9}")


class Sender:
    """Sends one callback, and tells what came of it.

    Args:
        settings: Where to, and how long.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._client = Client(allow_private=settings.allow_private)

    async def send(self, delivery: Delivery, secrets: tuple[str, ...], began: datetime) -> Answer:
        """Call, within the time that the settings give; whatever happens is an answer.

        Args:
            delivery: What, and where to.
            secrets: What to sign with: a signature each.
            began: Now.
        """
        # Once the head of an answer is there, it counts, whatever becomes of the rest.
        answer: Answer | None = None
        patience_s, allow_private = self._settings.timeout_s, self._settings.allow_private
        try:
            url = read_url(delivery.url, self._settings.ports, allow_private=allow_private)
            headers, body = _headers(delivery, secrets, began), delivery.body.encode()
            with _span(url) as noted:
                async with (
                    asyncio.timeout(patience_s),
                    self._client.stream("POST", url, headers, body) as response,
                ):
                    answer = _read_head(response)
                    noted.set("http.response.status_code", response.status)
                    await _take_some(response)
        except TimeoutError:
            failure = f"The host did not answer within {patience_s:g} s."
        except (BlockedAddressError, FetchFailedError) as error:
            failure = error.detail
        except Exception:
            logger.exception("the callback %s could not be sent", delivery.id)
            failure = "It could not be sent; the log of the server says why."
        else:
            return answer
        return answer or Answer(None, failure)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def sign(delivery: Delivery, secrets: tuple[str, ...], began: datetime) -> dict[str, str]:
    """The headers by which a receiver knows who calls, and that it knows this callback already.

    Args:
        delivery: What is sent.
        secrets: A signature for each.
        began: When it is sent, in UTC; the receiver refuses what is minutes off.
    """
    moment = began.astimezone(UTC).replace(microsecond=0)
    signatures = (Webhook(secret).sign(delivery.id, moment, delivery.body) for secret in secrets)
    return {
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _headers(delivery: Delivery, secrets: tuple[str, ...], began: datetime) -> dict[str, str]:
    return {
        "User-Agent": f"Viewfinder/{__version__}",
        "Content-Type": "application/json",
        **sign(delivery, secrets, began),
    }


def _span(url: httpx2.URL) -> Block:
    """Who is called; path and query may be what opens the door there."""
    return span("callback", {"http.request.method": "POST", "server.address": url.host}, "client")


def _read_head(response: httpcore2.Response) -> Answer:
    status = response.status
    if status in _MAY_SAY_WHEN:
        return Answer(status, retry_after_s=_retry_after(response))
    if HTTPStatus(300) <= status < HTTPStatus(400):
        return Answer(status, "A redirect is not followed.")
    return Answer(status)


def _retry_after(response: httpcore2.Response) -> int | None:
    """Seconds; a date is not looked at, for clocks differ."""
    given = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    text = given.decode("latin-1").strip()
    return int(text) if _SECONDS.fullmatch(text) else None


async def _take_some(response: httpcore2.Response) -> None:
    taken = 0
    async with aclosing(response.aiter_stream()) as stream:
        async for piece in stream:
            taken += len(piece)
            if taken >= _POLITE_BYTES:
                break
