"""The store of answers that the settings ask for."""

from viewfinder.idempotency.redis_store import RedisAnswers
from viewfinder.idempotency.store import AnswerStore, MemoryAnswers
from viewfinder.settings import Settings
from viewfinder.shared.link import open_link

# Longer than for what can be done without: the other answer is a refusal.
_REDIS_PATIENCE_S = 2.0
_REDIS_CONNECTIONS = 8
# What a batch, or a model that has to be loaded, may take beyond the time to begin.
_LEASE_MARGIN_S = 60


def open_answers(settings: Settings) -> AnswerStore:
    """The store that the settings ask for.

    Raises:
        MissingExtraError: Redis is asked for and not installed.
        SettingsError: The address of Redis makes no sense.
    """
    if settings.redis_url is None:
        return MemoryAnswers(settings.idempotency_s)
    link = open_link(
        settings.redis_url,
        setting="redis_url",
        what="the memory of idempotency keys",
        patience_s=_REDIS_PATIENCE_S,
        connections=_REDIS_CONNECTIONS,
    )
    lease_s = settings.request_timeout_s + _LEASE_MARGIN_S
    return RedisAnswers(link, ttl_s=settings.idempotency_s, lease_s=lease_s)
