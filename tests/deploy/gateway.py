"""A real nginx with the configuration of `deploy/gateway`."""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support import ROOT, eventually, free_port, needs

SHIPPED = ROOT / "deploy" / "gateway"
# Another nginx to be tested than the system's.
PROGRAM = os.environ.get("TESTS_NGINX", "nginx")

Address = tuple[str, int]

# What one address may ask is far below what one machine with all clients on it asks.
GENEROUS = {
    "rate=100r/s": "rate=100000r/s",
    "burst=200": "burst=100000",
    "at_a_time 100": "at_a_time 10000",
}
_NOBODY = 65534


def needs_nginx() -> None:
    """Skip a test where there is none."""
    needs("nginx (apt-get install nginx)", met=shutil.which(PROGRAM) is not None)


def render(
    folder: Path,
    replicas: Sequence[Address],
    *,
    http: int,
    https: int,
    limits: Mapping[str, str] = GENEROUS,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write the configuration that is shipped to a folder, as it fits this machine.

    Nothing is replaced but where it listens, where the replicas and its files are, and what one
    address may ask.

    Args:
        folder: Where to; its certificate is in `tls`, its temporary files go to `tmp`.
        replicas: Host and port of each.
        http: The port in place of 8080.
        https: The port in place of 8443.
        limits: Words of `limits.conf`, and what stands there instead.
        files: Whole files of `conf.d`, in place of those that are shipped.

    Returns:
        The file that nginx is to be started with.
    """
    servers = "\n".join(
        f"    server {host}:{port} max_fails=3 fail_timeout=2s;" for host, port in replicas
    )
    replaced: dict[str, Mapping[str, str]] = {
        "nginx.conf": {
            "listen 8080 ": f"listen 127.0.0.1:{http} ",
            "listen 8443 ": f"listen 127.0.0.1:{https} ",
            " /tmp/": f" {folder / 'tmp'}/",
            " /etc/nginx/tls/": f" {folder / 'tls'}/",
        },
        "conf.d/upstream.conf": {"    server server:8000 max_fails=3 fail_timeout=2s;": servers},
        "conf.d/limits.conf": limits,
    }
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    for name, parts in replaced.items():
        text = (folder / name).read_text()
        for shipped, here in parts.items():
            assert shipped in text, f"{name} has no {shipped!r}"
            text = text.replace(shipped, here)
        (folder / name).write_text(text)
    for name, text in (files or {}).items():
        (folder / "conf.d" / name).write_text(text)
    return folder / "nginx.conf"


def make_certificate(folder: Path) -> None:
    """A certificate for this machine, with its key, as the gateway wants them."""
    folder.mkdir(exist_ok=True)
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
                *("-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        needs("openssl", met=False)


@dataclass
class Gateway:
    """A running nginx.

    Attributes:
        process: Its first process.
        folder: Where its configuration and its files are.
        http: The port of plain HTTP.
        https: The port of HTTPS.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    http: int
    https: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.https}"

    @property
    def address(self) -> Address:
        """Host and port of HTTPS, for sockets."""
        return ("127.0.0.1", self.https)

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts its certificate, and nothing else."""
        return ssl.create_default_context(cafile=self.folder / "tls" / "tls.crt")

    def client(self, *, http2: bool = False, **options: Any) -> httpx2.Client:
        """A client of it; that of HTTP/2 speaks nothing else."""
        given: dict[str, Any] = {"timeout": 60, "trust_env": False, **options}
        return httpx2.Client(
            base_url=self.url, verify=self.tls, http1=not http2, http2=http2, **given
        )

    @contextlib.contextmanager
    def connection(
        self, source: str = "127.0.0.1", *, protocol: str = "http/1.1"
    ) -> Iterator[ssl.SSLSocket]:
        """A connection as bytes travel on it, from one of this machine's addresses."""
        tls = self.tls
        tls.set_alpn_protocols([protocol])
        with (
            socket.create_connection(self.address, 20, (source, 0)) as plain,
            tls.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            yield secure

    def reload(self) -> None:
        """Have it read its configuration again; the workers before end when they are done."""
        before = self.workers
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: set(self.workers) - set(before))

    @property
    def workers(self) -> list[int]:
        """Its processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in children.read_text().split()]

    @property
    def log(self) -> list[dict[str, Any]]:
        """A line for each request."""
        text = (self.folder / "access.log").read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def line_of(self, request_id: str) -> dict[str, Any]:
        """The line of one request, which is written after its answer is out."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.log if line["request_id"] == request_id]
            return bool(found)

        eventually(is_there)
        (line,) = found
        return line

    @property
    def errors(self) -> str:
        """What it has complained about."""
        return (self.folder / "error.log").read_text()

    @property
    def temporary(self) -> list[str]:
        """The temporary files that it has open; their names are taken away at once."""
        found = []
        for worker in self.workers:
            for file in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed since
                    found.append(str(file.readlink()))
        return [name for name in found if name.startswith(str(self.folder / "tmp"))]


@contextlib.contextmanager
def gateway(replicas: Sequence[Address], **options: Any) -> Iterator[Gateway]:
    """Start one, as nobody where the tests are root.

    Args:
        replicas: Host and port of each.
        options: Of `render`.
    """
    needs_nginx()
    # pytest's folders are for their owner alone.
    with tempfile.TemporaryDirectory(prefix="gateway-") as name:
        folder = Path(name)
        with _running(folder, replicas, options) as running:
            yield running


@contextlib.contextmanager
def _running(
    folder: Path, replicas: Sequence[Address], options: Mapping[str, Any]
) -> Iterator[Gateway]:
    (folder / "tmp").mkdir()
    make_certificate(folder / "tls")
    http, https = free_port(), free_port()
    config = render(folder, replicas, http=http, https=https, **options)
    command = [PROGRAM, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    user = _leave_to_nobody(folder)
    with (folder / "access.log").open("ab") as out, (folder / "error.log").open("ab") as err:
        process = subprocess.Popen([*command, "-g", "daemon off;"], stdout=out, stderr=err, **user)
    running = Gateway(process, folder, http, https)
    try:
        eventually(lambda: _listens(running) or process.poll() is not None)
        assert process.poll() is None, running.errors
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _listens(running: Gateway) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        address = f"http://127.0.0.1:{running.http}/gateway/live"
        return httpx2.get(address, trust_env=False).is_success
    return False


def _leave_to_nobody(folder: Path) -> dict[str, Any]:
    """What starts a process without privileges, to whom the folder belongs from now on."""
    if os.geteuid() != 0:
        return {}
    for name in ("access.log", "error.log"):
        (folder / name).touch()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
