"""The cache that the settings ask for."""

from viewfinder.serving.cache.redis_store import RedisCache
from viewfinder.serving.cache.store import MemoryCache, ResultCache
from viewfinder.settings import CacheSettings
from viewfinder.shared.link import open_link

_REDIS_PATIENCE_S = 0.5


def open_cache(settings: CacheSettings) -> ResultCache | None:
    """The cache that the settings ask for.

    Raises:
        MissingExtraError: Redis is asked for and not installed.
        SettingsError: The address of Redis makes no sense.
    """
    if not settings.enabled:
        return None
    if settings.redis_url is None:
        return MemoryCache(settings.size)
    link = open_link(
        settings.redis_url,
        setting="cache.redis_url",
        what="the result cache",
        patience_s=_REDIS_PATIENCE_S,
    )
    return RedisCache(link, ttl_s=settings.ttl_s)
