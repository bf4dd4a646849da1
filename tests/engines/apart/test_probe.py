"""A graph that crashes whoever loads it crashes another process than the server."""

import json
import shutil
import sys
from pathlib import Path

import httpx2
import pytest
from tests.support import Server, fake_bundle, photo, serving

from viewfinder.engines.apart import process
from viewfinder.engines.apart.probe import probe
from viewfinder.errors import BundleError
from viewfinder.registry.bundle import MANIFEST, Bundle, describe
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE

# One byte each of the builtin graph, found by trying thousands: LiteRT aborts over these.
FATAL = [(234_579, 82), (91_667, 127), (338_503, 73)]
GRAPH = "model.int8.tflite"


def _copy(store: Path, version: int, name: str = "shoes") -> Bundle:
    """The builtin model as a user's own."""
    folder = store / name / str(version)
    shutil.copytree(BUILTIN_STORE / BUILTIN_MODEL / "1", folder)
    return _reseal(folder, (folder / GRAPH).read_bytes())


def _reseal(folder: Path, graph: bytes) -> Bundle:
    (folder / GRAPH).write_bytes(graph)
    document = json.loads((folder / MANIFEST).read_text())
    document |= {"name": folder.parent.name, "version": int(folder.name)}
    document["variants"][0]["file"] = describe(GRAPH, graph).model_dump()
    (folder / MANIFEST).write_text(json.dumps(document))
    return Bundle.read(folder)


def _fatal(store: Path, version: int, offset: int, value: int) -> Bundle:
    """The same with a byte of its graph changed, and sealed as if that were right."""
    folder = _copy(store, version).folder
    graph = bytearray((folder / GRAPH).read_bytes())
    graph[offset] = value
    return _reseal(folder, bytes(graph))


def _probe(bundle: Bundle, passed: Path) -> None:
    probe(bundle, threads=1, device="cpu", passed=passed)


def _works_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, whatever is tried in another process fails."""
    monkeypatch.setattr(sys, "executable", "/bin/false")


@pytest.mark.parametrize(("offset", "value"), FATAL)
def test_a_graph_that_kills_the_process_is_refused_by_the_signal(
    store: Path, tmp_path: Path, offset: int, value: int
) -> None:
    bundle = _fatal(store, 1, offset, value)
    bundle.verify()  # nothing is wrong with its checksums
    with pytest.raises(BundleError, match="was killed by SIGABRT"):
        _probe(bundle, tmp_path / "passed")
    assert not (tmp_path / "passed").exists()


def test_what_is_wrong_with_a_bundle_is_told_as_without_the_other_process(
    store: Path, tmp_path: Path
) -> None:
    bundle = _copy(store, 1)
    (bundle.folder / GRAPH).write_bytes(b"hello")
    with pytest.raises(BundleError, match="its checksum differs"):
        _probe(bundle, tmp_path)


def test_a_process_that_ends_without_a_word_is_told_by_its_status(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _works_no_more(monkeypatch)
    with pytest.raises(BundleError, match="ended with status 1"):
        _probe(_copy(store, 1), tmp_path)


def test_what_has_passed_is_not_tried_again_until_it_changes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, passed = fake_bundle(store), tmp_path / "passed"
    _probe(bundle, passed)
    assert len(list(passed.iterdir())) == 1
    _works_no_more(monkeypatch)
    _probe(bundle, passed)
    with pytest.raises(BundleError):
        _probe(fake_bundle(store, version=2), passed)
    with pytest.raises(BundleError):
        probe(bundle, threads=1, device="cuda", passed=passed)


@pytest.mark.parametrize("inside", ["", "deep/er"])
def test_where_nothing_can_be_remembered_it_is_tried_each_time(
    store: Path, tmp_path: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    passed = tmp_path / "file" / inside
    bundle = fake_bundle(store)
    _probe(bundle, passed)
    _works_no_more(monkeypatch)
    with pytest.raises(BundleError):
        _probe(bundle, passed)


def test_a_graph_that_never_ends_loading_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_PATIENCE_S", 1)
    with pytest.raises(BundleError, match="still busy after 1 seconds"):
        _probe(fake_bundle(store, milliseconds=60_000), tmp_path)


# -- end to end


def _classify(server: Server, model: str) -> httpx2.Response:
    return httpx2.post(
        f"{server.url}/v1/classify",
        params={"model": model},
        files={"file": photo("sandal.jpg")},
        timeout=60,
        trust_env=False,
    )


def test_the_server_lives_and_the_version_before_serves(tmp_path: Path) -> None:
    store = tmp_path / "models"
    _copy(store, 1)
    _fatal(store, 2, *FATAL[0])
    with serving(tmp_path, "--model", "shoes", "--threads", "1") as server:
        answer = _classify(server, "shoes").json()
        assert (answer["class"], answer["model"]["version"]) == ("sandal", 1)
        refused = _classify(server, "shoes@2")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")

        _fatal(store, 3, *FATAL[1])
        states = httpx2.post(f"{server.url}/v1/models/reload", timeout=60, trust_env=False).json()
        shoes = {one["version"]: one for one in states["models"]["shoes"]}
        assert {version: one["state"] for version, one in shoes.items()} == {
            1: "ready",
            2: "failed",
            3: "failed",
        }
        assert "SIGABRT" in shoes[3]["reason"]
        assert _classify(server, "shoes").json()["model"]["version"] == 1
        assert server.process.poll() is None
        assert server.stop() == 0


def test_what_comes_with_the_package_is_not_tried_first(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "1") as server:
        assert _classify(server, BUILTIN_MODEL).status_code == 200
    assert not (tmp_path / "probed").exists()
