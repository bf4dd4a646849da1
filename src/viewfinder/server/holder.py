"""Who listens at a port of this machine, as far as `/proc` tells without privileges."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"  # include/net/tcp_states.h of Linux


def holder_of(port: int) -> str | None:
    """The name and number of a process that listens there; None if nobody can say.

    Only processes of the same user can be looked into.
    """
    wanted = {f"socket:[{inode}]" for inode in _sockets(port)}
    if not wanted:
        return None
    for process in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # of somebody else, or gone
            if any(link in wanted for link in _links(process / "fd")):
                name = (process / "comm").read_text(errors="replace").strip()
                return f"{name} (process {process.name})"
    return None


def _sockets(port: int) -> Iterator[str]:
    """The inodes of the sockets that listen there."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):  # no IPv6, or no Linux
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                address, state, inode = (line.split()[place] for place in (1, 3, 9))
                if state == _LISTENING and int(address.rpartition(":")[2], 16) == port:
                    yield inode


def _links(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):  # closed meanwhile
            yield str(Path(entry.path).readlink())
