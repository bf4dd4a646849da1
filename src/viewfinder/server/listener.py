"""The socket that the server listens on."""

import contextlib
import errno
import resource
import socket

from viewfinder.errors import ListenError
from viewfinder.server.holder import holder_of

_BACKLOG = 2048
_FILES_BESIDE = 256
_LAST_PORT = 65_535


def listen(host: str, port: int) -> socket.socket:
    """Listen; from here on, who comes before the models are loaded waits, and is answered.

    Args:
        host: An IPv4 or IPv6 address, or a name that has one of IPv4.
        port: 0 takes a free one.

    Raises:
        ListenError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it sees TCP named: without that, an answer can
    # wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(_taken(port)) from error
        raise ListenError(
            f"cannot listen on {host} port {port}: {error.strerror or error}"
        ) from error
    listener.set_inheritable(True)
    return listener


def _taken(port: int) -> str:
    holder = holder_of(port)
    by = f" by {holder}" if holder else ""
    other = port + 1 if port < _LAST_PORT else port - 1
    return (
        f"port {port} is taken{by}: choose another with --port {other} (with make: PORT={other}), "
        "or --port 0 for a free one"
    )


def url_of(host: str, listener: socket.socket) -> str:
    """The URL of what listens there, by the name that it was given.

    Args:
        host: As for `listen`.
        listener: What that has returned.
    """
    return f"http://{in_url(host)}:{listener.getsockname()[1]}"


def in_url(host: str) -> str:
    """An address as a URL has it: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def allow_files(connections: int) -> None:
    """Let the process open as many files as it may have connections, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES_BESIDE
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # not granted: fewer connections then
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
