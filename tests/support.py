"""What tests share: real photos, a small bundle for the fake engine, a real server process."""

import contextlib
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import Golden, Label, Manifest, Variant

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"
COMMAND = str(Path(sys.executable).with_name("viewfinder"))

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
    milliseconds: float = 0,
    classes: int = 16,
    poison: int | None = None,
    padding: int = 0,
) -> Bundle:
    """Write a bundle that the fake engine runs; class `step-N` is the N-th step of brightness.

    The graph fails over the brightness `poison`, and is longer by `padding` than it need be.
    """
    document = {"classes": classes, "milliseconds": milliseconds, "poison": poison}
    graph = json.dumps(document).encode() + b" " * padding
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
            ),
        ),
        recommended="only",
        provenance={},
    )
    return write_bundle(store / name / str(version), manifest, {"graph.json": graph})


def pixel_quantization(graph: bytes) -> list[tuple[float, int]]:
    """Scale and zero point of each int8 tensor that has the shape of the graph's input."""
    interpreter = Interpreter(model_content=graph, num_threads=1)
    (image,) = interpreter.get_input_details()
    return [
        detail["quantization"]
        for detail in interpreter.get_tensor_details()
        if list(detail["shape"]) == list(image["shape"]) and detail["dtype"] is np.int8
    ]


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
    """A running `viewfinder serve`."""

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
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *arguments],
        env=environment(home, **settings),
        stderr=subprocess.PIPE,
        text=True,
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
        found = re.search(r"http://\S+:\d+", lines[0])
        assert found is not None, lines
        yield Server(process, found[0], lines)
    finally:
        process.kill()
        process.wait(60)
        reader.join(10)
        process.stderr.close()


def exchange(address: tuple[str, int], request: bytes, *, timeout: float = 20) -> bytes:
    """Send bytes over a raw socket and read until the server closes."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
