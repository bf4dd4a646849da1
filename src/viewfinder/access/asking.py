"""Whether a server asks for a key."""

from viewfinder.net.addresses import is_loopback
from viewfinder.settings import Settings


def asks_for_key(settings: Settings) -> bool:
    """Whether a server asks for a key: as it is told, else everywhere but at a loopback address."""
    told = settings.auth.enabled
    return not is_loopback(settings.host) if told is None else told
