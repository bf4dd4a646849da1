"""The log of a server: lines for people on a terminal, JSON for machines elsewhere.

Everybody logs with the standard `logging`; here a line gets its form.
"""

import functools
import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console

from viewfinder.settings import LogSettings
from viewfinder.shared.plain import printable
from viewfinder.telemetry.lines import Lines
from viewfinder.telemetry.request import REQUEST_ID
from viewfinder.telemetry.tracing import current

# Others' loggers, by the least that they may say.
_QUIET = {
    # Whoever sends nonsense gets a 400, and not a line of the log for each try.
    "uvicorn": logging.ERROR,
    "uvicorn.error": logging.ERROR,
    "asyncio": logging.ERROR,
    # It would name its own parts, a line each, before what it does to the database.
    "alembic": logging.WARNING,
    # These name addresses with all that is in them.
    "httpx2": logging.WARNING,
    "urllib3": logging.ERROR,
}
# Bounded: else a long text with `://` again and again takes time by the square of its length.
_PASSWORD = re.compile(r"(://[^\s:/@?]{0,500}):\S{0,500}@")
_QUERY = re.compile(r"(://[^\s?'\"<>]{0,2000}\?)[^\s'\"<>]+")
# See `viewfinder.api.request_log`.
_REQUESTS = "viewfinder.api.request_log"
# What every record has, and what another handler may have left on it; the rest are fields.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_RED, _YELLOW, _CYAN, _BRIGHT, _DIM = (f"\x1b[{code}m" for code in (31, 33, 36, 1, 2))
_RESET = "\x1b[0m"
_COLOURS = {"WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_NEEDS_QUOTES = set(" =\"'")
_JSON = json.JSONEncoder(default=repr)  # to make one for each line costs as much as the line


def configure_logging(settings: LogSettings) -> None:
    """Have what is logged in this process written to stderr, a line each. Once is enough."""
    handler = Lines(sys.stderr)
    handler.setFormatter(formatter(settings, sys.stderr))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    # What libraries say in detail may hold anything: statements with their values, headers.
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO))
    logging.getLogger("viewfinder").setLevel(level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)


def is_json(settings: LogSettings, stream: TextIO) -> bool:
    """Whether the log is JSON, as far as it goes to that stream."""
    return settings.format == "json" or (settings.format == "auto" and not stream.isatty())


def formatter(settings: LogSettings, stream: TextIO) -> logging.Formatter:
    """What makes a line of a record.

    Args:
        settings: Say which form.
        stream: Where lines will go.
    """
    if is_json(settings, stream):
        return ForMachines()
    console = Console(file=stream)
    return ForPeople(colourful=console.is_terminal and not console.no_color)


class ForMachines(logging.Formatter):
    """A JSON object in each line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        second, part = divmod(record.created, 1)
        line = {
            "timestamp": f"{_second(second)}.{int(part * 1000):03d}Z",
            "level": record.levelname.lower(),
            "event": _safe(record.getMessage()),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = _safe(self.formatException(record.exc_info))
        return _JSON.encode(line)


class ForPeople(logging.Formatter):
    """The time of day here, what happened, and the fields behind it.

    Args:
        colourful: Whether to use colours.
    """

    def __init__(self, *, colourful: bool) -> None:
        super().__init__()
        self._colourful = colourful

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, and an exception below it; nothing in it looks like another."""
        fields = _fields(record)
        if record.name == _REQUESTS:
            _shorten(fields)
        moment = datetime.fromtimestamp(record.created).astimezone()
        parts = [
            self._in(_DIM, f"{moment:%H:%M:%S}"),
            self._in(_COLOURS.get(record.levelname, ""), record.levelname),
            self._in(_BRIGHT, printable(_safe(record.getMessage()))),
            *(f"{self._in(_CYAN, key)}={_value(value)}" for key, value in fields.items()),
        ]
        lines = [" ".join(parts)]
        if record.exc_info:
            text = _safe(self.formatException(record.exc_info))
            lines += (f"  {printable(line)}" for line in text.splitlines())
        return "\n".join(lines)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if colour and self._colourful else text


@functools.lru_cache(maxsize=8)
def _second(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What is known beside the words; where it comes from a request, from which."""
    found: dict[str, Any] = {}
    request_id, span = REQUEST_ID.get(), current()
    if request_id is not None:
        found["request_id"] = request_id
    if span is not None:
        found["trace_id"] = span.trace_id
    for key, value in vars(record).items():
        if key not in _OWN:
            found[key] = _safe(value) if isinstance(value, str) else value
    return found


def _safe(text: str) -> str:
    """Nobody logs an address with its password or query on purpose; libraries' errors may."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _shorten(fields: dict[str, Any]) -> None:
    """What the words of a request's line say already need not be said twice."""
    for key in ("method", "status"):
        fields.pop(key, None)
    if fields.pop("endpoint", None) == fields.get("path"):
        fields.pop("path", None)
    if (request_id := fields.pop("request_id", None)) is not None:
        fields["request_id"] = request_id


def _value(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and text and not _NEEDS_QUOTES & set(text) else repr(text)
