"""The counter that the settings ask for."""

from viewfinder.quota.counter import Counter, MemoryCounter
from viewfinder.quota.redis_counter import RedisCounter
from viewfinder.settings import Settings
from viewfinder.shared.link import open_link

_REDIS_PATIENCE_S = 0.05
# A count takes a fraction of a millisecond; to connect takes more, and many at once the longer.
_REDIS_CONNECTIONS = 8


def open_counter(settings: Settings) -> Counter:
    """The counter that the settings ask for.

    Raises:
        MissingExtraError: Redis is asked for and not installed.
        SettingsError: The address of Redis makes no sense.
    """
    window_s = settings.rate_limit.window_s
    if settings.redis_url is None:
        return MemoryCounter(window_s)
    link = open_link(
        settings.redis_url,
        setting="redis_url",
        what="the rate limit",
        patience_s=_REDIS_PATIENCE_S,
        connections=_REDIS_CONNECTIONS,
    )
    return RedisCounter(link, window_s)
