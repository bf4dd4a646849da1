"""Which results are wanted, and where a page goes on; SQLAlchemy is not needed to say it."""

import binascii
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Order = Literal["newest", "oldest", "uncertain"]

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LONGEST_CURSOR = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in the order of a page.

    Attributes:
        id: Of the result.
        confidence: Of the same, where that comes first in the order.
    """

    id: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results, and in which order. What is None, or the whole range, filters nothing.

    Attributes:
        model: The name of the model that answered.
        version: Its version.
        label: The most confident class.
        min_confidence: In that class, the least, 0-1.
        max_confidence: The most, 0-1.
        since: No result from before this moment, to the millisecond.
        until: Only results from before this moment.
        reviewed: Whether somebody has said what the photo shows.
        order: `uncertain` has the least confident first, among equals the oldest.
        after: The last row of the page before.
        limit: The most rows of a page.
    """

    model: str | None = None
    version: int | None = None
    label: str | None = None
    min_confidence: float = 0.0
    max_confidence: float = 1.0
    since: datetime | None = None
    until: datetime | None = None
    reviewed: bool | None = None
    order: Order = "newest"
    after: Place | None = None
    limit: int = 50


def is_result_id(text: str) -> bool:
    """Whether `text` has the form of a result's id: a UUID in lower case."""
    return _ID.fullmatch(text) is not None


def write_cursor(order: Order, place: Place) -> str:
    """A place as text that nobody need understand."""
    text = f"{order} {place.id}"
    if place.confidence is not None:
        text += f" {place.confidence!r}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(order: Order, text: str) -> Place:
    """The place that `write_cursor` wrote.

    Raises:
        ValueError: It is none, or of another order.
    """
    if len(text) > _LONGEST_CURSOR:
        raise ValueError("it is too long")
    try:
        plain = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    was, _, rest = plain.partition(" ")
    identifier, _, confidence = rest.partition(" ")
    if was != order or was not in get_args(Order) or not is_result_id(identifier):
        raise ValueError("it is of another order, or none")
    if (order == "uncertain") != bool(confidence):
        raise ValueError("it lacks something")
    if not confidence:
        return Place(identifier)
    number = float(confidence)
    if not math.isfinite(number):
        raise ValueError("it is not finite")
    return Place(identifier, number)
