"""Whether an address can only mean this machine, and whether a key is asked for there."""

from functools import lru_cache
from ipaddress import ip_address

from viewfinder.settings import Settings


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def asks_for_key(settings: Settings) -> bool:
    """Whether a server asks for a key: as it is told, else everywhere but at a loopback address."""
    told = settings.auth.enabled
    return not is_loopback(settings.host) if told is None else told
