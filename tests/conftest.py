"""Fixtures: one real server for all tests that only ask it questions."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.postgres import postgres
from tests.support import (
    SKIP_NOTHING,
    Engine,
    RedisServer,
    Server,
    fake_bundle,
    running_redis,
    serving,
)

__all__ = ["postgres"]

# A package that comes with the extra of that name.
_EXTRAS = {
    "train": "litert_quantizer",
    "heif": "pi_heif",
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "parquet": "pyarrow",
    "otel": "opentelemetry.sdk",
    "tensorflow": "tensorflow",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs an extra that is not installed."""
    if os.environ.get(SKIP_NOTHING):
        return  # then it fails
    for extra, package in _EXTRAS.items():
        if importlib.util.find_spec(package) is not None:
            continue
        skip = pytest.mark.skip(reason=f"needs the extra {extra}: make test EXTRAS={extra}")
        for item in items:
            if item.get_closest_marker(extra) is not None:
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers in this process keep records: not in the home of the person who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIEWFINDER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the builtin model and two more: `fake` in two versions, and a broken one."""
    home = tmp_path_factory.mktemp("home")
    store = home / "models"
    fake_bundle(store, "fake", 1)
    fake_bundle(store, "fake", 2, classes=4)
    broken = fake_bundle(store, "broken")
    (broken.folder / "graph.json").write_text("{}")
    (store / "halfway" / "1").mkdir(parents=True)
    with serving(home) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx2.Client]:
    """An HTTP client of that server."""
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        yield http


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty model store."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The fake engine of this process, counted and held."""
    return Engine(monkeypatch)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of this test's own, running."""
    with running_redis(tmp_path) as server:
        yield server
