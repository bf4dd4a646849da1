"""URLs that strangers wrote: what of them can be refused before anybody is asked."""

import ipaddress
import re
from collections.abc import Collection

import httpx2

from viewfinder.errors import BlockedAddressError
from viewfinder.net import addresses

NOT_PUBLIC = "The host of the URL has no public address."
_SECURE = "https"
_PORTS = {"http": 80, _SECURE: 443}
_LONGEST = 8192
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# The last part of what C libraries take for an IPv4 address: decimal, octal or hexadecimal.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# RFC 6761, 6762 and 8375; ICANN's `internal`; each means something only from where it is asked.
_NAMES_INSIDE = ("home.arpa", "internal", "local", "localhost")


def read_url(text: str, ports: Collection[int], *, allow_private: bool) -> httpx2.URL:
    """Read a URL.

    Args:
        text: As it was sent.
        ports: Those that may be asked.
        allow_private: Whether hosts inside the own network may be asked.

    Returns:
        A URL whose host is a name in ASCII, or an address in its usual form.

    Raises:
        BlockedAddressError: It is none of `http` or `https`, has user information, another port, or
            a host that can be no public one. Nobody has been asked about the name.
    """
    if len(text) > _LONGEST:
        raise BlockedAddressError(f"The URL is longer than {_LONGEST:,} characters.")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise BlockedAddressError("The URL has no valid form.") from error
    return _check(url, ports, allow_private=allow_private)


def read_redirect(
    base: httpx2.URL, location: str, ports: Collection[int], *, allow_private: bool
) -> httpx2.URL:
    """Read where an answer points, as strictly as the first URL.

    Raises:
        BlockedAddressError: As `read_url`; or it leads from `https` to `http`.
    """
    try:
        joined = str(base.join(location))
    except (httpx2.InvalidURL, ValueError) as error:
        raise BlockedAddressError("The URL leads to one that has no valid form.") from error
    url = read_url(joined, ports, allow_private=allow_private)
    if base.scheme == _SECURE and url.scheme != _SECURE:
        raise BlockedAddressError("The URL leads from https to http, which is not followed.")
    return url


def _check(url: httpx2.URL, ports: Collection[int], *, allow_private: bool) -> httpx2.URL:
    if url.scheme not in _PORTS:
        raise BlockedAddressError("The URL is neither http:// nor https://.")
    if url.userinfo:
        raise BlockedAddressError("The URL has a user name or a password in it.")
    host = _check_host(url.raw_host.decode("ascii"), allow_private=allow_private)
    if (_PORTS[url.scheme] if url.port is None else url.port) not in ports:
        raise BlockedAddressError("The URL names a port that this server does not ask.")
    return url.copy_with(host=host, fragment=None)


def _check_host(host: str, *, allow_private: bool) -> str:
    """The host in its usual form: strict, for every reader has its own idea of the others."""
    host = host.removesuffix(".")
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _check_address(host, allow_private=allow_private)
    if not _HOST.fullmatch(host):
        raise BlockedAddressError("The URL has no valid host.")
    if not allow_private and (
        "." not in host or any(f".{host}".endswith(f".{name}") for name in _NAMES_INSIDE)
    ):
        raise BlockedAddressError(NOT_PUBLIC)
    return host


def _check_address(host: str, *, allow_private: bool) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise BlockedAddressError("The URL has an address in a form that is not taken.") from error
    scoped = isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None
    if scoped or not (allow_private or addresses.is_public(address)):
        raise BlockedAddressError(NOT_PUBLIC)
    return str(address)
