"""Network addresses, as callers are told apart by them."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What one household or one machine is given: its holder has all of it to choose from.
_IPV6_PREFIX = 64
# IPv6 with an IPv4 address in it, and the name of an interface.
_LONGEST = 64


def parse_address(text: str) -> Address | None:
    """An IP address, IPv4 also where it is written as IPv6 (`::ffff:192.0.2.1`), else None."""
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(4096)
def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])  # without the interface's name
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(4096)
def caller_at(text: str) -> str:
    """One name for all addresses that one caller has: an IPv4 address, or the /64 of an IPv6 one.

    What is no address is its own name.
    """
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _IPV6_PREFIX), strict=False))
    return text if address is None else str(address)
