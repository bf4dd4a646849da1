"""A line of the log for every request that is over."""

import logging
import time
from functools import partial
from typing import Any

from starlette.types import Scope

from viewfinder.api.endpoints import OTHER, is_routine, known_method
from viewfinder.api.errors import is_own_fault
from viewfinder.api.guards.observe import Finished
from viewfinder.shared.plain import printable, shortened
from viewfinder.telemetry.lines import LATER, Later
from viewfinder.types import Prediction

logger = logging.getLogger(__name__)

_LONGEST_PATH = 200
_BLANK = vars(logging.makeLogRecord({}))


def shown_path(scope: Scope) -> str:
    """The path as it was sent, percent signs and all, without the query, 200 characters at most."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return shortened(printable(raw.partition(b"?")[0].decode("latin-1")), _LONGEST_PATH)


class RequestLog:
    """Writes them. See `viewfinder.api.guards.observe.Observer`.

    Nothing that a client has sent is in a line but its path, and the request id that it chose.

    Args:
        later: Where lines wait until they are put together and written.
    """

    def __init__(self, later: Later = LATER) -> None:
        self._later = later

    def finished(self, request: Finished) -> None:
        """Take note."""
        level = _level(request)
        if logger.isEnabledFor(level):
            # What is in the line is looked up now: a moment later all of it has left the caches.
            self._later.say(partial(_say, level, time.time(), _fields(request)))


def _say(level: int, moment: float, fields: dict[str, Any]) -> None:
    words = fields["method"], fields["endpoint"], fields["status"]
    known = {"name": logger.name, "msg": "%s %s %d", "args": words, "created": moment}
    known |= {"levelno": level, "levelname": logging.getLevelName(level)}
    logger.handle(_record(known | fields))


def _record(known: dict[str, Any]) -> logging.LogRecord:
    """A record of no thread, file or line: to find those takes six times as long."""
    record = logging.LogRecord.__new__(logging.LogRecord)
    vars(record).update(_BLANK)
    vars(record).update(known)
    return record


def _level(request: Finished) -> int:
    if is_routine(request.endpoint):
        return logging.DEBUG
    return logging.WARNING if is_own_fault(request.status) else logging.INFO


def _fields(request: Finished) -> dict[str, Any]:
    state = request.scope.get("state", {})
    fields: dict[str, Any] = {
        "method": known_method(request.scope) or OTHER,
        "endpoint": request.endpoint,
        "path": shown_path(request.scope),
        "status": request.status,
        "total_ms": round(request.seconds * 1000, 2),
    }
    if (principal := state.get("principal")) is not None:
        fields["key_id"] = principal.id
    if (problem := state.get("problem")) is not None:
        fields["error"] = problem
    predictions = state.get("predictions", [])
    if (images := state.get("images")) is not None:
        fields |= {"images": images, "failed": images - len(predictions)}
    elif len(predictions) == 1:
        fields |= _answer(predictions[0])
    return fields


def _answer(prediction: Prediction) -> dict[str, Any]:
    model, timing = prediction.model, prediction.timing
    return {
        "model": f"{model.name}@{model.version}/{model.variant}",
        "cached": prediction.cached,
        "decode_ms": round(timing.decode, 2),
        "queue_ms": round(timing.queue, 2),
        "infer_ms": round(timing.infer, 2),
    }
