"""Spans on their way to a collector, as OTLP over HTTP. Needs the extra `otel`."""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from viewfinder.shared.seldom import Seldom

logger = logging.getLogger(__name__)

_PATIENCE_S = 3.0  # a collector that is slower is away


def exporter_to(endpoint: str) -> "Told":
    """What sends spans there.

    Args:
        endpoint: Its whole address, as `http://collector:4318/v1/traces`.
    """
    return Told(OTLPSpanExporter(endpoint, timeout=_PATIENCE_S, session=_session()), endpoint)


class Told:
    """Passes spans on, and says, once a minute, that nobody takes them.

    Args:
        exporter: Who sends them.
        endpoint: Where to.
    """

    def __init__(self, exporter: Any, endpoint: str) -> None:
        self._exporter = exporter
        parts = urlsplit(endpoint)
        host, port = parts.hostname, f":{parts.port}" if parts.port else ""
        self._shown = f"{parts.scheme}://{host}{port}"  # the rest may be a secret
        self._log = Seldom()
        self._lost = 0
        self._complained = False

    def export(self, spans: Sequence[Any]) -> Any:
        """Send spans. What it raises is caught further out, and said nowhere."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._note(len(spans), taken=result is SpanExportResult.SUCCESS)
        return result

    def _note(self, spans: int, *, taken: bool) -> None:
        if taken:
            if self._complained:
                logger.info("%s takes traces again", self._shown)
            self._complained = False
            return
        self._lost += spans
        if self._log.may_speak():
            self._complained = True
            logger.warning("%s takes no traces; %d spans are lost", self._shown, self._lost)

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return bool(self._exporter.force_flush(timeout_millis))


def _session() -> Any:
    """Sends, and reads no more of an answer than its head: it may have no end."""
    session = import_module("requests").Session()
    session.stream = True
    session.hooks["response"].append(_look_at)
    return session


def _look_at(response: Any, **_: Any) -> None:
    response.close()
    if response.is_redirect:  # the exporter takes it for a success
        raise ValueError("the collector is somewhere else")
