"""Lists that come page by page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from viewfinder.client.answers.shape import PageShape
from viewfinder.client.call import Answer, Call, T, success

_Kind = TypeVar("_Kind", bound=PageShape)
_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is the cursor of what follows, None on the last page."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """All of a list; `at` asks for the page at a cursor."""

    at: Callable[[str | None], Call[Page[T]]]


def pages_of(
    path: str,
    params: Mapping[str, Any],
    kind: type[_Kind],
    items: Callable[[_Kind], tuple[T, ...]],
) -> Pages[T]:
    """How to ask for all of a list.

    Args:
        path: Where it is.
        params: What is wanted of it.
        kind: An answer with a page of it.
        items: What is on such a page.
    """
    read = success(kind)

    def parse(answer: Answer) -> Page[T]:
        page = read(answer)
        return Page(items(page), page.next)

    def at(cursor: str | None) -> Call[Page[T]]:
        return Call("GET", path, parse, {**params, "limit": _LENGTH, "cursor": cursor})

    return Pages(at)
