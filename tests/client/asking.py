"""Both clients, asked in the same way, so that one test holds for both."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import viewfinder
from viewfinder.client.sending.retrying import Retries

NEVER_AGAIN = Retries(attempts=1)
KINDS = ("Client", "AsyncClient")


class Asker:
    """A client, whose methods all answer at once; what comes one by one comes as a list."""

    def __init__(self, kind: str, *given: Any, **named: Any) -> None:
        self._runner = asyncio.Runner()
        self._is_async = kind == "AsyncClient"
        self.client = getattr(viewfinder, kind)(*given, **named)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def ask(*given: Any, **named: Any) -> Any:
            answer = method(*given, **named)
            if inspect.isawaitable(answer):
                return self._runner.run(_awaited(answer))
            if isinstance(answer, AsyncIterator):
                return self._runner.run(_listed(answer))
            return list(answer) if isinstance(answer, Iterator) else answer

        return ask

    def end(self) -> None:
        """Close the client, and its event loop."""
        self.close()
        self._runner.close()


async def _awaited(answer: Any) -> Any:
    return await answer


async def _listed(answers: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in answers]


@contextmanager
def asker(kind: str, *given: Any, **named: Any) -> Iterator[Asker]:
    """A client for a while."""
    made = Asker(kind, *given, **named)
    try:
        yield made
    finally:
        made.end()
