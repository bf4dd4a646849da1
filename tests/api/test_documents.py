"""`/v1/models/{name}/versions/{version}/documents` and below."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx2
import numpy as np
import pytest
from tests.registry.conftest import bucket, s3
from tests.robustness.wire import flat_memory
from tests.support import Server, asking, fake_bundle, read_answer, serving

from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.store import open_store

__all__ = ["bucket", "s3"]

DOCUMENTS = {
    "report.html": b"<!doctype html><script>alert(1)</script>",
    "evaluation.json": b'{"photos": 3}',
    "notes/read me.md": b"# Notes",
    "notes.TXT": "Grüße".encode(),
    "plot.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "weights.npz": b"\0\1",
    "<b>": b"odd",
}
TYPES = {
    "report.html": "text/html; charset=utf-8",
    "evaluation.json": "application/json",
    "notes/read me.md": "text/plain; charset=utf-8",
    "notes.TXT": "text/plain; charset=utf-8",
}
BINARY = "application/octet-stream"
MIB = 1024 * 1024
LARGEST = np.random.default_rng(0).bytes(32 * MIB)


def documented(folder: Path, documents: Mapping[str, bytes], name: str = "fake") -> Bundle:
    """A version with documents."""
    plain = fake_bundle(folder / "plain", name)
    manifest = plain.manifest.model_copy(
        update={"documents": tuple(describe(path, data) for path, data in documents.items())}
    )
    store = folder / "models" / name / "1"
    return write_bundle(store, manifest, {**plain.contents(), **documents})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documented")
    documented(folder, DOCUMENTS)
    documented(folder, {"large.bin": LARGEST + b"x", "just.bin": LARGEST}, "large")
    documented(folder, {"grows.bin": LARGEST[:-1], "shrinks.bin": LARGEST}, "changing")
    documented(folder, {"report.html": b"as it was", "gone.json": b"{}"}, "damaged")
    (folder / "models/damaged/1/report.html").write_bytes(b"as it is!")
    (folder / "models/damaged/1/gone.json").unlink()
    fake_bundle(folder / "models", "bare")
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home, "--model", "fake", "--threads", "1", LIMITS__STALL_S=20) as server:
        yield server


@pytest.fixture(scope="module")
def reader(server: Server) -> Iterator[httpx2.Client]:
    models = f"{server.url}/v1/models/"
    with httpx2.Client(base_url=models, timeout=60, trust_env=False) as client:
        yield client


def test_documents_are_listed_as_they_were_sealed(reader: httpx2.Client) -> None:
    body = reader.get("fake/versions/1/documents").json()
    assert (body["name"], body["version"]) == ("fake", 1)
    assert body["documents"] == [
        {**describe(path, content).model_dump(), "type": TYPES.get(path, BINARY)}
        for path, content in DOCUMENTS.items()
    ]
    assert reader.get("bare/versions/1/documents").json()["documents"] == []


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_comes_as_it_is_and_a_browser_runs_nothing_of_it(
    reader: httpx2.Client, path: str
) -> None:
    answer = reader.get(f"fake/versions/1/documents/{path}")
    assert (answer.status_code, answer.content) == (200, DOCUMENTS[path])
    headers = answer.headers
    assert headers["content-type"] == TYPES.get(path, BINARY)
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'; ")
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    disposition = headers.get("content-disposition", "")
    assert disposition.startswith("attachment") == (path not in TYPES)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("fake/versions/1/documents/nothing.html", 404, "document_not_found"),
        ("fake/versions/1/documents/bundle.json", 404, "document_not_found"),
        ("fake/versions/1/documents/graph.json", 404, "document_not_found"),
        ("fake/versions/1/documents/", 404, "document_not_found"),
        ("fake/versions/1/documents/%2e%2e/1/report.html", 404, "document_not_found"),
        ("fake/versions/1/documents/..%2f..%2f..%2fviewfinder.db", 404, "document_not_found"),
        ("fake/versions/1/documents/%2fetc%2fpasswd", 404, "document_not_found"),
        ("fake/versions/1/documents/report.html%00", 404, "document_not_found"),
        ("fake/versions/2/documents", 404, "version_not_found"),
        ("fake/versions/2/documents/report.html", 404, "version_not_found"),
        ("hats/versions/1/documents/report.html", 404, "model_not_found"),
        ("damaged/versions/1/documents/report.html", 503, "not_ready"),
        ("damaged/versions/1/documents/gone.json", 503, "not_ready"),
        ("large/versions/1/documents/large.bin", 409, "conflict"),
    ],
)
def test_what_is_not_sealed_as_a_document_does_not_come(
    home: Path, path: str, status: int, code: str, reader: httpx2.Client
) -> None:
    answer = reader.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert str(home) not in answer.text


def test_the_largest_document_that_is_sent_comes_whole(reader: httpx2.Client) -> None:
    answer = reader.get("large/versions/1/documents/just.bin")
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(LARGEST))
    assert answer.content == LARGEST


def test_a_part_of_a_document_cannot_be_asked_for(reader: httpx2.Client) -> None:
    answer = reader.get("fake/versions/1/documents/weights.npz", headers={"Range": "bytes=1-1"})
    assert (answer.status_code, answer.content) == (200, DOCUMENTS["weights.npz"])
    assert "accept-ranges" not in answer.headers


def _asked(path: str) -> bytes:
    return f"GET /v1/models/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _has_begun(connection: socket.socket) -> bool:
    return connection.recv(1, socket.MSG_PEEK) == b"H"


def test_slow_readers_of_a_large_document_take_no_memory(server: Server) -> None:
    asked = _asked("large/versions/1/documents/just.bin")
    with ExitStack() as stack, flat_memory(server, most=64 * MIB):
        readers = [stack.enter_context(asking(server, asked)) for _ in range(24)]
        assert all(map(_has_begun, readers))
        assert all(read_answer(reader).body == LARGEST for reader in readers[::8])


def test_no_more_is_sent_of_a_document_that_grows_than_was_announced(
    home: Path, server: Server
) -> None:
    with asking(server, _asked("changing/versions/1/documents/grows.bin")) as connection:
        assert _has_begun(connection)
        with (home / "models/changing/1/grows.bin").open("ab") as file:
            file.write(b"more")
        assert read_answer(connection).body == LARGEST[:-1]
        connection.sendall(_asked("fake/versions/1/documents/notes.TXT"))
        assert read_answer(connection).body == DOCUMENTS["notes.TXT"]


def test_a_document_that_becomes_shorter_is_cut_off(home: Path, server: Server) -> None:
    with asking(server, _asked("changing/versions/1/documents/shrinks.bin")) as connection:
        assert _has_begun(connection)
        with (home / "models/changing/1/shrinks.bin").open("ab") as file:
            file.truncate(31 * MIB)
        with pytest.raises(http.client.IncompleteRead) as cut:
            read_answer(connection)
    assert cut.value.partial == LARGEST[: 31 * MIB]


def test_documents_come_from_a_bucket_too(bucket: str, tmp_path: Path) -> None:
    address = f"s3://{bucket}/models"
    bundle = documented(tmp_path, {"report.html": b"<p>hello"})
    open_store(address, tmp_path / "publisher").add(bundle.manifest, bundle.contents())
    with serving(tmp_path / "server", "--model", "fake", MODEL_STORE=address) as server:
        assert _get(server, "fake/versions/1/documents/report.html") == b"<p>hello"


def _get(server: Server, path: str) -> bytes:
    content: bytes = httpx2.get(f"{server.url}/v1/models/{path}", trust_env=False).content
    return content
