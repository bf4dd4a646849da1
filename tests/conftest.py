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

# Begun first, because what takes long and is begun last ends the run alone, with all other cores
# idle. Those that compute (TensorFlow, in the main) alternate with those that wait for servers.
_LONGEST = (
    "e2e/test_optimization.py",
    "robustness/test_workers.py",
    "docs/test_tutorial.py",
    "docs/test_how_to.py",
    "client/test_network.py",
    "client/test_operations.py",
    "e2e/test_training.py",
    "docs/test_coming_from.py",
    "web/test_activity.py",
    "cli/test_commands.py",
    "e2e/test_first_messages.py",
    "web/test_live.py",
    "pipelines/test_import_formats.py",
    "web/test_classify.py",
    "cli/test_bench.py",
    "web/test_models.py",
    "optimization/test_distill.py",
    "robustness/test_shutdown.py",
    "web/test_review.py",
    "optimization/test_prune.py",
    "telemetry/test_tracing.py",
    "training/test_finetune.py",
    "robustness/test_transport.py",
    "conversion/test_families.py",
    "robustness/test_memory.py",
    "web/test_frame.py",
    "pipelines/exporting/test_export.py",
    "deploy/test_prometheus.py",
    "robustness/test_private_addresses.py",
    "api/test_drift.py",
    "client/photos/test_shrinking.py",
    "client/test_asynchronous.py",
    "pipelines/variants/test_sealing.py",
    "e2e/test_serve.py",
    "engines/test_plugins.py",
    "examples/test_clients.py",
    "examples/test_engine.py",
    "deploy/test_grafana.py",
    "conversion/test_builtin_model.py",
    "robustness/test_jobs.py",
    "cli/test_worker.py",
    "docs/test_site.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and skip, with the reason, what lacks an extra."""
    here = Path(__file__).parent
    turns = {(here / file).resolve(strict=True): turn for turn, file in enumerate(_LONGEST)}
    items.sort(key=lambda item: turns.get(item.path, len(turns)))
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
