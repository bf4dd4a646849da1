"""Root file systems that stand in for `python:...-slim`, where no registry can be asked."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tests.deploy.container import Mount

DEBIAN = "trixie"
_FOLDERS = ("build", "dev", "etc", "opt", "proc", "root", "run", "tmp", "var/lib")
_PYTHONS = ("python", "python3")
# What programs ask for that resolve names and make connections, and what useradd writes to.
_OF_ETC = (
    *("hosts", "ld.so.cache", "localtime", "login.defs", "nsswitch.conf", "pip.conf"),
    *("resolv.conf", "ssl", "ca-certificates"),
)
_USERS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
    "gshadow": "root:*::\n",
}


class Root(Protocol):
    """Where an image begins."""

    def make(self, folder: Path) -> None:
        """Lay it out in an empty folder."""

    def mounts(self) -> Sequence[Mount]:
        """What of this machine is seen in it."""


class ThisMachine:
    """The programs and libraries of this machine, and the Python of these tests in /usr/local.

    It has more than an image has: what is missing there is found by `Debian` alone.
    """

    def make(self, folder: Path) -> None:
        """Lay out what is not mounted."""
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64", "usr"):
            here = Path("/", name)
            if here.is_symlink():
                (folder / name).symlink_to(here.readlink())
            else:
                (folder / name).mkdir()
        for name in _OF_ETC:
            here = Path("/etc", name)
            if here.is_dir():
                shutil.copytree(here, folder / "etc" / name, symlinks=True)
            elif here.exists():
                shutil.copy(here, folder / "etc" / name)
        for name, text in _USERS.items():
            (folder / "etc" / name).write_text(text)

    def mounts(self) -> Sequence[Mount]:
        """Programs, libraries, Python."""
        top = [Path("/", name) for name in ("bin", "sbin", "lib", "lib64", "usr")]
        found = [Mount(path, str(path)) for path in top if path.is_dir() and not path.is_symlink()]
        python = Path(sys.base_prefix)
        # Where it was made for, too: it may look there for its library.
        return [*found, Mount(python, "/usr/local"), Mount(python, sys.base_prefix)]


class Debian:
    """A Debian with next to nothing in it, and its Python.

    Args:
        cache: Where it is kept: to fetch it takes a minute.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def make(self, folder: Path) -> None:
        """Fetch it where it is not there yet, and copy it."""
        if not self._cache.exists():
            partial = self._cache.with_name(f"{self._cache.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            subprocess.run(
                [
                    *("debootstrap", "--variant=minbase", "--include=ca-certificates,python3"),
                    *(DEBIAN, partial, "http://deb.debian.org/debian"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            partial.rename(self._cache)
        subprocess.run(["cp", "-a", f"{self._cache}/.", folder], check=True)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(Path("/etc", name), folder / "etc" / name)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder / "etc/ssl/certs")
        for name in _PYTHONS:
            (folder / "usr/local/bin" / name).symlink_to("/usr/bin/python3")

    def mounts(self) -> Sequence[Mount]:
        """Nothing of this machine."""
        return ()


@contextlib.contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A file system in place of an empty folder: tens of thousands of files come and go there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=6g", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def may_make_roots() -> bool:
    """Whether this process may mount, and have namespaces of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = [
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "mount",
        "-t",
        "tmpfs",
        "t",
        "/mnt",
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
