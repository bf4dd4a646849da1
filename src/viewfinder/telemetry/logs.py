"""The log of a server: lines for people on a terminal, JSON for machines elsewhere.

Everybody logs with the standard `logging`; structlog gives a line its form. Import it only where a
log is kept: structlog brings much of rich.
"""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO, TypeAlias

from rich.console import Console
from structlog import dev, processors, stdlib

from viewfinder.settings import LogSettings
from viewfinder.shared.plain import printable
from viewfinder.telemetry.request import REQUEST_ID
from viewfinder.telemetry.tracing import current

Event: TypeAlias = MutableMapping[str, Any]
Step: TypeAlias = Callable[[Any, str, Event], Event | str | bytes]

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
# Its lines for people are shorter: see `viewfinder.api.request_log`.
_REQUESTS = "viewfinder.api.request_log"
_COLOURS = {"WARNING": dev.YELLOW, "ERROR": dev.RED, "CRITICAL": dev.RED}
_NEEDS_QUOTES = set(" =\"'")


def configure_logging(settings: LogSettings) -> None:
    """Have what is logged in this process written to stderr, a line each. Once is enough."""
    handler = logging.StreamHandler()
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
    form = _for_machines() if is_json(settings, stream) else _for_people(stream)
    return stdlib.ProcessorFormatter(
        processors=[
            _begin,
            stdlib.ExtraAdder(),
            _without_leftovers,
            processors.format_exc_info,
            _without_secrets,
            *form,
        ]
    )


def _begin(_logger: Any, _name: str, event: Event) -> Event:
    """What every line begins with, in this order; where it comes from a request, from which."""
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    begun: Event = {
        "timestamp": moment.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": event["event"],
        "logger": record.name,
    }
    request_id, span = REQUEST_ID.get(), current()
    if request_id is not None:
        begun["request_id"] = request_id
    if span is not None:
        begun["trace_id"] = span.trace_id
    return {**begun, **event}


def _without_leftovers(_logger: Any, _name: str, event: Event) -> Event:
    """What another handler has left on the record; nobody can say these as fields."""
    event.pop("message", None)
    event.pop("asctime", None)
    return event


def _without_secrets(_logger: Any, _name: str, event: Event) -> Event:
    """Nobody logs an address with its password or query on purpose; libraries' errors may."""
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", value))
    return event


def _for_machines() -> list[Step]:
    return [stdlib.ProcessorFormatter.remove_processors_meta, processors.JSONRenderer()]


def _for_people(stream: TextIO) -> list[Step]:
    console = Console(file=stream)
    colourful = console.is_terminal and not console.no_color
    reset, dim, bright, cyan = (
        (dev.RESET_ALL, dev.DIM, dev.BRIGHT, dev.CYAN) if colourful else ("", "", "", "")
    )

    def level(key: str, value: object) -> str:
        del key
        colour = _COLOURS.get(str(value), "") if colourful else ""
        return f"{colour}{value}{reset if colour else ''}"

    renderer = dev.ConsoleRenderer(
        columns=[
            dev.Column("timestamp", dev.KeyValueColumnFormatter(None, dim, reset, str)),
            dev.Column("level", level),
            dev.Column("event", dev.KeyValueColumnFormatter(None, bright, reset, str)),
            dev.Column("", dev.KeyValueColumnFormatter(cyan, "", reset, _value)),
        ],
        exception_formatter=dev.plain_traceback,
        sort_keys=False,
    )
    return [_for_eyes, renderer]


def _for_eyes(_logger: Any, _name: str, event: Event) -> Event:
    """The time of day here, and nothing that looks like another line."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"], event["logger"]
    if record.name == _REQUESTS:
        _shorten(event)
    event["timestamp"] = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
    event["level"] = record.levelname
    event["event"] = printable(str(event["event"]))
    for key in event.keys() & {"exception", "stack"}:
        event[key] = "\n".join(f"  {printable(line)}" for line in event[key].splitlines())
    return event


def _shorten(event: Event) -> None:
    """What the words of a request's line say already need not be said twice."""
    for key in ("method", "status"):
        event.pop(key, None)
    if event.pop("endpoint", None) == event.get("path"):
        event.pop("path", None)
    if (request_id := event.pop("request_id", None)) is not None:
        event["request_id"] = request_id


def _value(value: object) -> str:
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and text and not _NEEDS_QUOTES & set(text) else repr(text)
