"""What tests share: real photos, a small bundle for the fake engine, a real server process."""

import asyncio
import contextlib
import http.client
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image

from viewfinder.api.services import Services
from viewfinder.app import create_app
from viewfinder.engines.fake import FakeEngine
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import Features, Golden, Label, Manifest, Variant
from viewfinder.server.drain import DrainingServer
from viewfinder.server.run import configure
from viewfinder.settings import CacheSettings, Settings

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"
DATA = ROOT / "tests" / "data"
COMMAND = str(Path(sys.executable).with_name("viewfinder"))

# Set where everything must be there: what would be skipped fails.
SKIP_NOTHING = "TESTS_SKIP_NOTHING"
# Set where promises are to be shown in full: `make soak`.
FULL = bool(os.environ.get("TESTS_FULL"))

# What each photo shows; a cat may be any of three tabby kinds.
EXPECTED = {
    "cat.jpg": {"Egyptian cat", "tabby", "tiger cat"},
    "espresso.jpg": {"espresso"},
    "rocket.jpg": {"missile"},
    "running-shoe.jpg": {"running shoe"},
    "sandal.jpg": {"sandal"},
}


def photo(name: str) -> bytes:
    """The bytes of an example photo."""
    return (PHOTOS / name).read_bytes()


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The image as a file of that format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def same_pixels(image: Image.Image, other: Image.Image) -> bool:
    """Whether two images look alike to the last pixel."""
    return np.array_equal(np.asarray(image), np.asarray(other))


def grey(brightness: int, size: tuple[int, int] = (32, 32)) -> bytes:
    """A flat grey PNG, which the fake engine answers by its brightness."""
    return encode(Image.new("L", size, brightness))


def empty_png(width: int, height: int) -> bytes:
    """A PNG whose header declares a size, and that holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def fake_bundle(
    store: Path,
    name: str = "fake",
    version: int = 1,
    *,
    classes: int = 16,
    padding: int = 0,
    head: NDArray[Any] | bytes | None = None,
    **options: Any,
) -> Bundle:
    """Write a bundle that the fake engine runs; class `step-N` is the N-th step of brightness.

    Args:
        store: The folder of all models.
        name: Of the model.
        version: Of the model.
        classes: How many steps there are.
        padding: By how much the graph is longer than it need be.
        head: The weights of its head, float32 `[classes, classes]`, or a file in place of them;
            with the identity, a class is seen where pixels have its brightness.
        options: What else the graph says: `milliseconds`, `device`, `max_useful_batch`, `poison`.
    """
    graph = json.dumps({"classes": classes, **options}).encode() + b" " * padding
    files, features = {"graph.json": graph}, None
    if head is not None:
        files["head.npy"] = head if isinstance(head, bytes) else as_npy(head)
        features = Features(weights=describe("head.npy", files["head.npy"]))
    manifest = Manifest(
        name=name,
        version=version,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        labels=tuple(Label(name=f"step-{number}") for number in range(classes)),
        variants=(
            Variant(
                name="only",
                format="fake",
                engine="fake",
                file=describe("graph.json", graph),
                preprocess=PreprocessSpec(width=8, height=8),
                golden=Golden(tolerance=0.01),
                features=features,
            ),
        ),
        recommended="only",
        provenance={},
    )
    return write_bundle(store / name / str(version), manifest, files)


def as_npy(array: NDArray[Any]) -> bytes:
    """A file of NumPy's."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def pixel_quantization(graph: bytes) -> list[tuple[float, int]]:
    """Scale and zero point of each int8 tensor that has the shape of the graph's input."""
    interpreter = Interpreter(model_content=graph, num_threads=1)
    (image,) = interpreter.get_input_details()
    return [
        detail["quantization"]
        for detail in interpreter.get_tensor_details()
        if list(detail["shape"]) == list(image["shape"]) and detail["dtype"] is np.int8
    ]


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[None]:
    """What is started meanwhile heeds Ctrl-C.

    A shell has what it runs in the background ignore it, and so would all that these tests start.
    """
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heeded)


def environment(home: Path, **settings: object) -> dict[str, str]:
    """A clean environment: the person's own settings must not reach a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIEWFINDER")}
    given = {f"VIEWFINDER_{name}": str(value) for name, value in settings.items()}
    return {**kept, "VIEWFINDER_HOME": str(home), "XDG_CONFIG_HOME": str(home), **given}


def settings_file(home: Path, text: str) -> Path:
    """Write the settings file that `environment` leads to."""
    path = home / "viewfinder" / "viewfinder.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def run_command(
    *arguments: str | Path, home: Path, timeout: float = 60, **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run `viewfinder` to its end."""
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@dataclass
class Server:
    """A running `viewfinder serve`, or a worker that shows its health."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for raw sockets."""
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(
    home: Path, *arguments: str, until: str = r"ready: ", **settings: object
) -> Iterator[Server]:
    """Start the real server on a free port, and wait until a line of its log matches `until`."""
    with _started("serve", home, arguments, until, settings) as server:
        yield server


@contextlib.contextmanager
def working(home: Path, *arguments: str, **settings: object) -> Iterator[Server]:
    """Start a real worker on jobs, that shows its health on a free port."""
    with _started("worker", home, arguments, "Working on jobs", settings) as worker:
        yield worker


@contextlib.contextmanager
def _started(
    command: str, home: Path, arguments: Sequence[str], until: str, settings: Mapping[str, object]
) -> Iterator[Server]:
    process = subprocess.Popen(
        [COMMAND, command, "--port", "0", *arguments],
        env=environment(home, **{"DRAIN__DELAY_S": 0, **settings}),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal makes
    )
    assert process.stderr is not None
    lines: list[str] = []
    ready = threading.Event()

    def listen(stream: io.TextIOBase) -> None:
        for line in stream:
            lines.append(line.rstrip())
            if re.search(until, line):
                ready.set()
        ready.set()  # it has ended

    reader = threading.Thread(target=listen, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        assert ready.wait(60), lines
        assert process.poll() is None, lines
        found = re.search(r"http://\S+:\d+", "\n".join(lines))
        assert found is not None, lines
        yield Server(process, found[0], lines)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.wait(60)
        reader.join(10)
        process.stderr.close()


class Engine:
    """Counts what the fake engine is asked, and can hold it.

    Attributes:
        calls: For each call the brightness of every image in it, 0-255.
        entered: Released by each call that has begun.
        open: Cleared, every call waits in the engine until it is set.
        failures: By brightness, raised once in place of an answer.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self.failures: dict[int, Exception] = {}
        self._really = FakeEngine.predict

        def predict(engine: FakeEngine, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self._predict(engine, batch)

        monkeypatch.setattr(FakeEngine, "predict", predict)

    def forget(self) -> None:
        """Begin anew: the calls of a model's warm-up say nothing."""
        self.calls.clear()
        self.entered = threading.Semaphore(0)

    def _predict(self, engine: FakeEngine, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = [round(float(image.mean())) for image in batch]
        self.calls.append(seen)
        self.entered.release()
        assert self.open.wait(30)
        for brightness in self.failures.keys() & set(seen):
            raise self.failures.pop(brightness)
        return self._really(engine, batch)


@dataclass
class LocalServer:
    """The application behind a real HTTP server, in a thread of this process.

    Attributes:
        services: Its parts, to look at.
        address: Host and port.
    """

    services: Services
    address: tuple[str, int]
    _server: DrainingServer

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def requests(self) -> int:
        """How many it has in hand."""
        return len(self._server.server_state.tasks)

    @property
    def connections(self) -> int:
        """How many are open, as far as it knows."""
        return len(self._server.server_state.connections)

    @property
    def waiting(self) -> int:
        """Photos that wait for the CPU."""
        return sum(self.services.devices.cpu.depths.values())


@contextlib.contextmanager
def serving_here(settings: Settings) -> Iterator[LocalServer]:
    """Serve in a thread, so that a test can look at the engine and the queue."""
    app = create_app(settings)
    server = DrainingServer(configure(lambda: app, settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started)
            yield LocalServer(app.state.services, listener.getsockname(), server)
        finally:
            server.handle_exit(signal.SIGINT, None)
            thread.join(60)
            assert not thread.is_alive()


@contextlib.contextmanager
def serving_one(store: Path, engine: Engine, **settings: Any) -> Iterator[LocalServer]:
    """Serve the fake model with one thread; unless it is said, no answer comes from a cache."""
    fake_bundle(store)
    given = {"threads": 1, "cache": CacheSettings(enabled=False), **settings}
    with serving_here(Settings(model_store=store, default_model="fake", **given)) as server:
        engine.forget()
        yield server


@contextlib.contextmanager
def held(server: LocalServer, engine: Engine, brightness: int = 0) -> Iterator[None]:
    """The only thread is held by a photo of that brightness, which is answered after."""
    engine.open.clear()
    with asking(server, request_of(grey(brightness))) as connection:
        assert engine.entered.acquire(timeout=20)
        try:
            yield
        finally:
            engine.open.set()
        assert read_answer(connection).status == 200


@contextlib.contextmanager
def asking(server: "LocalServer | Server", request: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which something has been asked."""
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request)
        yield connection


def workers_of(server: Server) -> list[int]:
    """The processes that a server with several workers has now."""
    return spawned(server.process.pid)


def spawned(pid: int) -> list[int]:
    """The Python processes that a process has started, and that are alive."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def in_full(reduced: int, full: int) -> int:
    """How often: less in a usual run of the tests than where promises are shown in full."""
    return full if FULL else reduced


def eventually(happened: Callable[[], object], *, within: float = 30) -> None:
    """Wait for what happens elsewhere."""
    last = time.monotonic() + within
    while not happened():
        assert time.monotonic() < last, "it has not happened"
        time.sleep(0.005)


async def soon(happened: Callable[[], object], *, within: float = 30) -> None:
    """Let the event loop run until something has happened."""
    async with asyncio.timeout(within):
        while True:
            if happened():
                return
            await asyncio.sleep(0.001)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class RedisServer:
    """A real Redis, that can be stopped, held, killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self._folder}
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *given], stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def signal(self, number: int) -> None:
        """Send it a signal; after SIGKILL, wait for its end."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait(30)

    def ask(self, *words: str | bytes) -> bytes:
        """What it says to one command, as it travels."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        command = b"*%d\r\n" % len(parts)
        command += b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command)
            return connection.recv(1 << 20)

    def keys(self) -> list[str]:
        """What it holds."""
        return [line.decode() for line in self.ask("KEYS", "*").split(b"\r\n")[2::2]]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING").startswith(b"+PONG")
        return False

    def close(self) -> None:
        """End it for good."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)


def needs(what: str, *, met: bool) -> None:
    """Skip a test whose needs are not met; where everything must be there, fail it."""
    if met:
        return
    if os.environ.get(SKIP_NOTHING):
        pytest.fail(f"{SKIP_NOTHING} is set, and there is no {what}")
    pytest.skip(f"needs {what}")


@contextlib.contextmanager
def running_redis(folder: Path, *, started: bool = True) -> Iterator[RedisServer]:
    """A real Redis for a while, or one that is yet to be started."""
    needs(
        "redis-server (apt-get install redis-server)", met=shutil.which("redis-server") is not None
    )
    needs(
        "the extra redis (make test EXTRAS=redis)",
        met=importlib.util.find_spec("redis") is not None,
    )
    server = RedisServer(folder)
    try:
        if started:
            server.start()
        yield server
    finally:
        server.close()


def request_of(photo: bytes, *headers: str, path: str = "/v1/classify") -> bytes:
    """The bytes of a request that posts a PNG."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: image/png",
        f"Content-Length: {len(photo)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + photo


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        status: As a number.
        headers: By their names, in any case.
        body: What it says.
    """

    status: int
    headers: Message
    body: bytes


def read_answer(connection: socket.socket) -> Answer:
    """The next answer on a connection, to its end."""
    with http.client.HTTPResponse(connection) as answer:
        answer.begin()
        return Answer(answer.status, answer.headers, answer.read())


def exchange(address: tuple[str, int], request: bytes, *, timeout: float = 20) -> bytes:
    """Send bytes over a raw socket and read until the server closes."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
