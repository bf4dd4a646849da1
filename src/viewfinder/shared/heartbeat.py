"""Looks at each Redis now and then: that it is away, or back, is known before anybody needs it."""

import asyncio
from collections.abc import Mapping

from viewfinder.shared.link import Link

# A little more than an absent one is left alone for: each look is a try.
_PAUSE_S = 2.5


class Heartbeat:
    """Follows ways to Redis, for as long as the process lives.

    Args:
        links: By what they are for.
    """

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def away(self) -> list[str]:
        """What has no Redis at present."""
        return [what for what, link in self._links.items() if link.is_away]

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._tasks = [asyncio.create_task(_follow(link)) for link in self._links.values()]

    async def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _follow(link: Link) -> None:
    while True:
        await link.look()
        await asyncio.sleep(_PAUSE_S)
