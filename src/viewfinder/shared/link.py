"""The way to a Redis, which may be away."""

import importlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from viewfinder.errors import MissingExtraError

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """Redis could not be asked in time, or had nothing to say. Never reaches a caller."""


class Link(Protocol):
    """A Redis that is left alone for a while once it has not answered."""

    @property
    def is_away(self) -> bool:
        """Whether it could not be used when that was last tried."""

    @property
    def left_alone(self) -> bool:
        """Whether it is not asked at present."""

    async def look(self) -> None:
        """Find out whether it answers, for `is_away`; raises nothing."""

    async def ask(self, command: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """What Redis says.

        Args:
            command: Gets the client, `redis.asyncio.Redis`.

        Raises:
            NoAnswerError: It is away, or was too slow.
        """

    async def close(self) -> None:
        """Close the connections."""


def open_link(
    url: str, *, setting: str, what: str, patience_s: float, connections: int = 32
) -> Link:
    """A way to the Redis at an address. Nothing is connected yet.

    Args:
        url: `redis://host:6379/0`; `rediss://` for TLS.
        setting: Where the address comes from, to say so when it makes no sense.
        what: Of what the log tells that it is away: "the result cache".
        patience_s: Seconds that one question may take, connecting included.
        connections: How many there may be; further questions wait their turn.

    Raises:
        MissingExtraError: The package is not installed.
        SettingsError: The address makes no sense.
    """
    try:
        module = importlib.import_module("viewfinder.shared.redis_link")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{what.capitalize()} in Redis", "redis") from error
    link = module.RedisLink(
        url, setting=setting, what=what, patience_s=patience_s, connections=connections
    )
    return cast("Link", link)
