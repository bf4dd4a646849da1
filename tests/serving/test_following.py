"""A replica follows what others do to the store, and no mishap changes who answers."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_bundle

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import DeadlineExceededError, NotReadyError, OverloadedError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import ROUTING, Share, Traffic
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.rerouting import roll_back, set_alias, set_traffic
from viewfinder.settings import Settings


def _manager(store: Path, **settings: Any) -> ModelManager:
    return ModelManager(
        FolderStore(store), Settings(home=store.parent, threads=1, **settings), default="fake"
    )


def _versions(store: Path, *versions: int) -> None:
    for version in versions:
        fake_bundle(store, version=version)


async def _answers(manager: ModelManager, text: str = "fake") -> int:
    slot = await manager.get(text)
    with slot.open():
        return slot.bundle.manifest.version


async def _look(manager: ModelManager) -> None:
    await manager.reload()
    await manager.settled()


async def test_a_shadow_never_answers_whatever_becomes_of_the_traffic(store: Path) -> None:
    _versions(store, 1, 2, 3)
    replica, elsewhere = _manager(store), FolderStore(store)
    elsewhere.route("fake", lambda r: r.with_alias("stable", 1))
    await _look(replica)
    assert await _answers(replica) == 1
    split = (Share(version=1, percent=90), Share(version=2, percent=10))
    for traffic in (Traffic(shadow=3), Traffic(split=split, shadow=3), None):

        def change(routing: Any, traffic: Traffic | None = traffic) -> Any:
            return routing.with_traffic(traffic)

        elsewhere.route("fake", change)
        await replica.reload()
        assert await _answers(replica) in {1, 2}
        await replica.settled()
        if traffic is not None:
            await replica.get_shadow("fake", 3)
        assert {await _answers(replica) for _ in range(50)} <= {1, 2}
    assert await _answers(replica) == 1
    assert replica.status("fake", 3).state == "unloaded"
    await replica.close()


async def test_damaged_routing_counts_for_nothing_also_when_all_is_tried_again(store: Path) -> None:
    _versions(store, 1, 2)
    manager = _manager(store)
    await set_alias(manager, "fake", "stable", 1)
    (store / "fake" / ROUTING).write_text("{")
    for afresh in (False, True, True):
        await manager.reload(afresh=afresh)
        assert await _answers(manager) == 1
        assert manager.catalog.route("fake").problem is not None
    await manager.close()


async def test_a_share_that_was_deleted_does_not_take_the_others_with_it(store: Path) -> None:
    _versions(store, 1, 2)
    manager = _manager(store)
    split = (Share(version=1, percent=50), Share(version=2, percent=50))
    await set_traffic(manager, "fake", Traffic(split=split))
    assert {await _answers(manager) for _ in range(100)} == {1, 2}
    FolderStore(store).remove("fake", 2)
    await _look(manager)
    assert manager.status("fake", 1).state == "ready"
    assert {await _answers(manager) for _ in range(20)} == {1}
    await manager.close()


async def test_a_step_back_is_taken_from_what_others_have_just_changed(store: Path) -> None:
    _versions(store, 1, 2, 3, 4)
    here, there = _manager(store), _manager(store)
    await set_alias(there, "fake", "stable", 2)
    await set_alias(there, "fake", "stable", 4)
    await roll_back(here, "fake")
    assert await _answers(here) == 2
    await asyncio.gather(here.close(), there.close())


async def test_a_step_back_from_a_canary_is_to_stable_alone(store: Path) -> None:
    _versions(store, 1, 2, 3)
    manager = _manager(store)
    await set_alias(manager, "fake", "stable", 1)
    await set_alias(manager, "fake", "stable", 2)
    split = (Share(version=2, percent=50), Share(version=3, percent=50))
    await set_traffic(manager, "fake", Traffic(split=split))
    assert {await _answers(manager) for _ in range(100)} == {2, 3}
    await roll_back(manager, "fake")
    assert {await _answers(manager) for _ in range(20)} == {2}
    await roll_back(manager, "fake")
    assert await _answers(manager) == 1
    await manager.close()


async def test_what_was_published_a_moment_ago_can_be_named(store: Path) -> None:
    _versions(store, 1)
    manager = _manager(store)
    _versions(store, 2)
    await set_alias(manager, "fake", "stable", 2)
    assert await _answers(manager) == 2
    await manager.close()


class Slow:
    """Loading that waits until it is let go."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, bundle: Bundle, **options: Any) -> LoadedVariant:
        assert self.opened.wait(20)
        return load_variant(bundle, **options)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr("viewfinder.engines.apart.probe.load_variant", slow)
    return slow


async def test_nobody_waits_for_a_load_past_the_deadline(store: Path, slow: Slow) -> None:
    _versions(store, 1)
    manager = _manager(store)
    with pytest.raises(DeadlineExceededError):
        await manager.get("fake", deadline=time.monotonic() + 0.05)
    slow.opened.set()
    assert await _answers(manager) == 1
    await manager.close()


async def test_only_so_many_wait_for_a_load(store: Path, slow: Slow) -> None:
    _versions(store, 1)
    manager = _manager(store, queue_size=3)
    waiting = [asyncio.create_task(manager.get("fake")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await manager.get("fake")
    slow.opened.set()
    assert len(await asyncio.gather(*waiting)) == 3
    await manager.close()


async def _ready(services: Services) -> None:
    for _ in range(2000):
        if services.models.status_of("fake").state == "ready":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not ready")


async def test_a_default_that_was_broken_at_the_start_is_loaded_once_it_is_good(
    store: Path,
) -> None:
    (fake_bundle(store, version=1).folder / "graph.json").write_text("{}")
    settings = Settings(
        home=store.parent, model_store=store, default_model="fake", threads=1, store_poll_s=0.01
    )
    services = build_services(settings)
    async with running(services):
        with pytest.raises(NotReadyError):
            services.models.status_of("fake")
        _versions(store, 2)
        for _ in range(2000):
            if 2 in services.models.catalog.versions("fake"):
                break
            await asyncio.sleep(0.01)
        await _ready(services)


async def test_the_default_is_not_evicted_and_neither_is_who_answers_until_the_next_is_ready(
    store: Path, slow: Slow
) -> None:
    slow.opened.set()
    graph = 600_000  # padded: two such models do not fit into two MB, counted twice
    fake_bundle(store, version=1, padding=graph)
    for name in ("other", "third"):
        fake_bundle(store, name, padding=graph)
    manager = _manager(store, model_memory_mb=3)
    assert await _answers(manager) == 1
    await manager.get("other")
    await manager.get("third")
    assert manager.status("other", 1).state == "unloaded"
    assert manager.status("fake", 1).state == "ready"
    slow.opened.clear()
    fake_bundle(store, version=2, padding=graph)
    await manager.reload()
    assert await _answers(manager) == 1
    slow.opened.set()
    await manager.settled()
    assert await _answers(manager) == 2
    await manager.close()
