"""The model store, a folder, away: what is in memory answers, and the rest comes back by itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.service import asking_one, is_refused, why_not_ready
from tests.support import eventually, fake_bundle, serving

WRONG = {"store": "the model store cannot be read; the models known so far go on to answer"}


def _take_away(store: Path) -> None:
    """As where a disk is not mounted."""
    store.rename(store.with_name("elsewhere"))


def _spoil(store: Path) -> None:
    """As where a disk, or its network, fails: also for who may do everything."""
    _take_away(store)
    store.symlink_to(store)


def _bring_back(store: Path) -> None:
    store.unlink(missing_ok=True)
    store.with_name("elsewhere").rename(store)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a server; the store is not in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("spoil", [_take_away, _spoil])
def test_models_in_memory_go_on_to_answer(home: Path, spoil: Callable[[Path], None]) -> None:
    store = home.parent / "store"
    fake_bundle(store)
    fake_bundle(store, "rare")
    with asking_one(home) as asked:
        asked.until_ready()
        spoil(store)
        assert asked.until_wrong("store") == WRONG
        assert asked.gauges("viewfinder_store_looks_total")['outcome="failed"'] > 0
        asked.classify_many()
        assert is_refused(asked.classify(path="/v1/classify?model=rare"))
        assert is_refused(asked.ask("POST", "/v1/models/reload"))
        answer = asked.ask("PUT", "/v1/models/fake/aliases/stable", json={"version": 1})
        assert is_refused(answer)
        _bring_back(store)
        fake_bundle(store, version=2)
        asked.until_ready()
        eventually(lambda: asked.classify().json()["model"]["version"] == 2)
        assert asked.classify(path="/v1/classify?model=rare").status_code == 200


def test_a_server_starts_without_its_store_and_gets_ready_when_it_comes(home: Path) -> None:
    store = home.parent / "store"
    fake_bundle(store)
    _spoil(store)
    with asking_one(home, until="is not ready") as asked:
        reason = "The model store cannot be read now, and the model 'fake' is not known without it."
        assert why_not_ready(asked).startswith(reason)
        assert is_refused(asked.classify())
        assert asked.gauges()['part="model"'] == asked.gauges()['part="store"'] == 0
        _bring_back(store)
        eventually(lambda: asked.ask("GET", "/health/ready").status_code == 200)
        asked.until_ready()
        assert asked.classify().status_code == 200


def test_the_builtin_model_needs_no_store(home: Path) -> None:
    store = home.parent / "store"
    store.symlink_to(store)
    with serving(home, MODEL_STORE=store, THREADS=1) as server:
        wrong = [line for line in server.lines if "the model store was not read" in line]
        assert len(wrong) == 1
        assert "ready: efficientnet-lite0" in "\n".join(server.lines)
