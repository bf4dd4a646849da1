"""A process in a root file system of its own, with namespaces of its own: what a container is."""

import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.support import eventually

_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private")
_NODES = ("null", "zero", "full", "random", "urandom")
_IN_MEMORY = {"tmp": "mode=1777", "dev": "mode=755", "dev/shm": "mode=1777,size=64m"}
# SIOCSIFFLAGS: the loopback interface of a new network is down.
_LOOPBACK_UP = (
    "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, "
    "struct.pack('16sh22x', b'lo', 0x41))"
)


@dataclass(frozen=True)
class Mount:
    """A folder, or a file, of this machine that is seen inside.

    Attributes:
        source: Where it is.
        target: Where it is seen.
        writable: Whether it can be written there.
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Inside:
    """What a process sees.

    Attributes:
        root: Its root.
        mounts: What is seen in it besides.
        env: Its whole environment.
        user: Numbers of user and group.
        workdir: Where it begins.
    """

    root: Path
    mounts: Sequence[Mount]
    env: Mapping[str, str]
    user: tuple[int, int] = (0, 0)
    workdir: str = "/"


def build_step(inside: Inside, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run something that may write to its root, and use this machine's network."""
    script = [*_mounting(inside), f"exec chroot {inside.root} {_started(inside, words)}"]
    return subprocess.run(
        [*_NAMESPACES, "sh", "-ec", "\n".join(script)],
        capture_output=True,
        text=True,
        check=False,
    )


class Container:
    """What runs in a root that cannot be written, with a network that leads nowhere.

    Args:
        inside: What it sees.
        words: Its command.
        log: Where its output goes.
    """

    def __init__(self, inside: Inside, words: Sequence[str], log: Path) -> None:
        self._inside = inside
        self.log = log
        script = [
            f"{shlex.quote(sys.executable)} -c {shlex.quote(_LOOPBACK_UP)}",
            *_mounting(inside),
            f"mount -o remount,bind,ro {inside.root}",
            f"exec chroot {inside.root} {_confined(inside)} {_started(inside, words)}",
        ]
        with log.open("wb") as file:
            self._outside = subprocess.Popen(
                [*_NAMESPACES, "--net", "sh", "-ec", "\n".join(script)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def first(self) -> psutil.Process:
        """Its process 1, as it is seen from here."""
        eventually(lambda: psutil.Process(self._outside.pid).children() or not self.is_running)
        assert self.is_running, self.said
        return psutil.Process(self._outside.pid).children()[0]

    @property
    def is_running(self) -> bool:
        """Whether process 1 is there."""
        return self._outside.poll() is None

    @property
    def said(self) -> str:
        """Its output."""
        return self.log.read_text(errors="replace")

    def run(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run something beside it, as `docker exec` does."""
        enter = f"nsenter --target {self.first.pid} --mount --pid --net --root --wd"
        command = f"{enter} {_confined(self._inside)} {_started(self._inside, words)}"
        return subprocess.run(
            ["sh", "-c", f"exec {command}"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self, name: str) -> int:
        """Send process 1 a signal; its exit status."""
        self.first.send_signal(signal.Signals[name])
        return self.wait()

    def wait(self) -> int:
        """Its exit status."""
        return self._outside.wait(60)

    def kill(self) -> None:
        """End it, if it runs still."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._outside.pid).children():
                child.kill()  # and the kernel all others in there
        self._outside.kill()
        self._outside.wait(30)


@contextlib.contextmanager
def running(inside: Inside, words: Sequence[str], log: Path) -> Iterator[Container]:
    """A container for a while."""
    container = Container(inside, words, log)
    try:
        yield container
    finally:
        container.kill()


def _mounting(inside: Inside) -> Iterator[str]:
    """The commands of a shell that make the root; all of it ends with the namespace."""
    root = inside.root
    yield f"mount --bind {root} {root}"
    for mount in inside.mounts:
        target = f"{root}{mount.target}"
        make = "mkdir -p" if mount.source.is_dir() else "install -D /dev/null"
        yield f"[ -e {target} ] || {make} {target}"
        yield f"mount --bind {mount.source} {target}"
        if not mount.writable:
            yield f"mount -o remount,bind,ro {target}"
    yield f"mount -t proc proc {root}/proc"
    for name, options in _IN_MEMORY.items():
        yield f"mkdir -p {root}/{name}"
        yield f"mount -t tmpfs -o {options} tmpfs {root}/{name}"
    for node in _NODES:
        yield f"touch {root}/dev/{node}"
        yield f"mount --bind /dev/{node} {root}/dev/{node}"


def _confined(inside: Inside) -> str:
    """As another user, with no capability, and no way to get one."""
    user, group = inside.user
    return (
        f"setpriv --reuid={user} --regid={group} --clear-groups --no-new-privs "
        "--inh-caps=-all --bounding-set=-all"
    )


def _started(inside: Inside, words: Sequence[str]) -> str:
    env = " ".join(shlex.quote(f"{name}={value}") for name, value in inside.env.items())
    return f"env --ignore-environment --chdir={inside.workdir} {env} {shlex.join(words)}"
