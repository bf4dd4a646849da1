"""Lists that come page by page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from viewfinder.client.call import Call

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is the cursor of what follows, None on the last page."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """All of a list; `at` asks for the page at a cursor."""

    at: Callable[[str | None], Call[Page[T]]]
