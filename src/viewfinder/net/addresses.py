"""Which IP addresses are public: the internet's, and nobody's in particular.

Denied by default. IPv6 has one range of public addresses; what hides an IPv4 address inside it
(6to4, Teredo, ISATAP) is refused whatever it hides, and what does so elsewhere (mapped, compatible,
NAT64) lies outside of it. The lists are here and not only in `ipaddress`, whose own changed between
releases of Python.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# https://www.iana.org/assignments/iana-ipv4-special-registry
_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network; on Linux, this machine
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's agent: public by its number only
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)

# https://www.iana.org/assignments/ipv6-unicast-address-assignments
_PUBLIC_6 = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3ffe::/16",  # 6bone, given back
            "3fff::/20",  # documentation
        ),
    )
)

# RFC 5214, section 6.1: the four bytes before the IPv4 address, whatever its bit "universal" says.
_ISATAP, _ISATAP_BITS = 0x0000_5EFE, 0xFDFF_FFFF


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the internet, and cannot mean this machine or its network."""
    if isinstance(address, IPv4Address):
        special = any(address in network for network in _NOT_PUBLIC_4)
    else:
        special = (
            address.scope_id is not None
            or address not in _PUBLIC_6
            or any(address in network for network in _NOT_PUBLIC_6)
            or (int(address) >> 32) & _ISATAP_BITS == _ISATAP
        )
    return not special and address.is_global and not address.is_multicast


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
