"""Models in memory."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.broken import BROKEN, becomes_litert, builtin_graph, good
from tests.support import ROOT, fake_bundle, soon

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.fake import FakeEngine
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import (
    ConflictError,
    InvalidParameterError,
    ModelNotFoundError,
    NotReadyError,
    VersionNotFoundError,
)
from viewfinder.registry.bundle import MANIFEST, Bundle, describe
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import Traffic
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.rerouting import delete_alias, roll_back, set_alias, set_traffic
from viewfinder.serving.versions.slot import Slot
from viewfinder.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were really loaded, in order."""
    seen: list[str] = []

    def watch(bundle: Bundle, **options: Any) -> LoadedVariant:
        seen.append(f"{bundle.manifest.name}@{bundle.manifest.version}")
        return load_variant(bundle, **options)

    monkeypatch.setattr("viewfinder.engines.apart.probe.load_variant", watch)
    return seen


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[FakeEngine]:
    """The engines that were closed, in order."""
    seen: list[FakeEngine] = []

    def close(engine: FakeEngine) -> None:
        seen.append(engine)

    monkeypatch.setattr(FakeEngine, "close", close)
    return seen


class Gate:
    """Holds the loading of some versions until it is opened."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.entered = threading.Event()
        self.opened = threading.Event()

    def load(self, bundle: Bundle, **options: Any) -> LoadedVariant:
        if bundle.manifest.version in self.held:
            self.entered.set()
            assert self.opened.wait(20)
        return load_variant(bundle, **options)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr("viewfinder.engines.apart.probe.load_variant", gate.load)
    return gate


def _manager(store: Path, **settings: Any) -> ModelManager:
    given = {"home": store.parent, "threads": 1, **settings}
    return ModelManager(FolderStore(store), Settings(**given), default="fake")


def _split(**percents: float) -> Traffic:
    """A split from `v1=90, v2=10`."""
    split = [{"version": int(v[1:]), "percent": share} for v, share in percents.items()]
    return Traffic.model_validate({"split": split})


def _version(slot: Slot) -> int:
    return slot.bundle.manifest.version


async def _answers(manager: ModelManager, text: str | None = "fake") -> int:
    """The version that answers, having really answered."""
    slot = await manager.get(text)
    with slot.open():
        black = np.zeros((1, *slot.loaded.engine.input_shape), np.uint8)
        assert slot.loaded.confidences(black).argmax() == 0
    return _version(slot)


async def _followed(manager: ModelManager) -> None:
    await manager.reload()
    await manager.settled()


async def test_a_model_is_loaded_once_when_it_is_first_needed(
    store: Path, loads: list[str]
) -> None:
    fake_bundle(store, version=1)
    fake_bundle(store, version=2)
    manager = _manager(store)
    assert manager.status("fake", 2).state == "unloaded"
    assert manager.status_of("fake").state == "unloaded"
    many = await asyncio.gather(*(manager.get(text) for text in (None, "fake", "fake@2") * 5))
    assert len({id(loaded) for loaded in many}) == 1
    assert loads == ["fake@2"]
    assert manager.status_of("fake").state == "ready"
    assert manager.status("fake", 1).state == "unloaded"


async def test_a_broken_model_fails_once_and_says_why(store: Path, loads: list[str]) -> None:
    (fake_bundle(store).folder / "graph.json").write_text("{}")
    manager = _manager(store)
    for _ in range(3):
        with pytest.raises(NotReadyError):
            await manager.get("fake")
    assert loads == ["fake@1"]
    status = manager.status("fake", 1)
    assert status.state == "failed"
    assert "checksum" in str(status.reason)


async def test_when_the_newest_fails_the_next_answers(store: Path) -> None:
    fake_bundle(store, version=1)
    (fake_bundle(store, version=2).folder / "graph.json").write_text("{}")
    (fake_bundle(store, version=3).folder / "bundle.json").write_text("{")
    manager = _manager(store)
    for text in (None, "fake", "fake@latest"):
        assert (await manager.get(text)).bundle.manifest.version == 1
    assert manager.catalog.aliases("fake") == {"latest": 1}
    assert manager.status("fake", 2).state == "failed"
    with pytest.raises(NotReadyError, match="checksum"):
        await manager.get("fake@2")


async def test_a_golden_sample_that_is_no_photo_is_the_models_fault(store: Path) -> None:
    bundle = fake_bundle(store)
    file = describe("graph.json", (bundle.folder / "graph.json").read_bytes()).model_dump()
    document = json.loads((bundle.folder / "bundle.json").read_text())
    sample = {"file": file, "top": [{"index": 0, "confidence": 1}]}
    document["variants"][0]["golden"] = {"tolerance": 0.1, "samples": [sample]}
    (bundle.folder / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(NotReadyError, match="golden sample"):
        await _manager(store).get("fake")


async def test_an_engine_that_fails_unforeseen_fails_only_its_model(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    fake_bundle(store)
    manager = _manager(store)
    monkeypatch.setattr(FakeEngine, "read", explode)
    with pytest.raises(NotReadyError) as caught:
        await manager.get("fake")
    assert "inside" not in caught.value.detail
    assert "ZeroDivisionError" in caplog.text


async def test_closing_closes_every_engine_and_so_does_a_failed_load(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[FakeEngine] = []

    def close(engine: FakeEngine) -> None:
        closed.append(engine)

    monkeypatch.setattr(FakeEngine, "close", close)
    fake_bundle(store, version=1)
    fake_bundle(store, version=2)
    manager = _manager(store)
    await manager.get("fake@1")
    await manager.get("fake@2")
    assert not closed
    await manager.close()
    assert len(closed) == 2

    bundle = fake_bundle(store, "other")
    path = bundle.folder / "bundle.json"
    path.write_text(path.read_text().replace('"width": 8', '"width": 9'))
    with pytest.raises(NotReadyError, match="input size"):
        await _manager(store).get("other")
    assert len(closed) == 3


async def test_one_who_gives_up_does_not_spoil_the_load_for_others(
    store: Path, loads: list[str]
) -> None:
    fake_bundle(store)
    manager = _manager(store)
    impatient = asyncio.create_task(manager.get("fake"))
    patient = asyncio.create_task(manager.get("fake"))
    await asyncio.sleep(0)
    assert manager.status("fake", 1).state == "loading"
    impatient.cancel()
    assert (await patient).bundle.manifest.name == "fake"
    assert loads == ["fake@1"]


# -- who answers


async def test_a_bare_name_means_its_split_else_stable_else_the_highest(store: Path) -> None:
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    manager = _manager(store)
    assert await _answers(manager) == 3
    await set_alias(manager, "fake", "stable", 1)
    assert await _answers(manager) == 1
    await set_traffic(manager, "fake", _split(v2=100))
    assert await _answers(manager) == 2
    for text, version in (("fake@1", 1), ("fake@3", 3), ("fake@stable", 1), ("fake@latest", 3)):
        assert await _answers(manager, text) == version
    await set_traffic(manager, "fake", None)
    assert await _answers(manager) == 1
    await delete_alias(manager, "fake", "stable")
    assert await _answers(manager) == 3


async def test_a_caller_stays_with_a_version_and_both_versions_have_callers(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    manager = _manager(store)
    await set_traffic(manager, "fake", _split(v1=50, v2=50))
    seen = {
        caller: {_version(await manager.get("fake", caller)) for _ in range(5)}
        for caller in map(str, range(40))
    }
    assert {len(versions) for versions in seen.values()} == {1}
    assert set.union(*seen.values()) == {1, 2}


async def test_where_a_share_is_broken_another_one_answers(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    manager = _manager(store)
    await set_traffic(manager, "fake", _split(v1=50, v2=50))
    await manager.close()
    (store / "fake" / "2" / "graph.json").write_text("{}")
    manager = _manager(store)
    for caller in map(str, range(20)):
        assert _version(await manager.get("fake", caller)) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("hats", ModelNotFoundError),
        ("fake@9", VersionNotFoundError),
        ("fake@stable", VersionNotFoundError),
        ("fake%1", ModelNotFoundError),
        ("../fake", ModelNotFoundError),
    ],
)
async def test_what_is_not_there_is_told(store: Path, text: str, error: type[Exception]) -> None:
    fake_bundle(store)
    with pytest.raises(error):
        await _manager(store).get(text)


# -- a new version


async def test_a_new_version_takes_over_once_it_is_loaded_and_not_before(
    store: Path, gate: Gate, closed: list[FakeEngine]
) -> None:
    fake_bundle(store, version=1)
    manager = _manager(store)
    old = await manager.get("fake")
    fake_bundle(store, version=2)
    gate.held.add(2)
    await manager.reload()
    assert await asyncio.to_thread(gate.entered.wait, 20)
    assert manager.status("fake", 2).state == "loading"
    for _ in range(10):
        assert await asyncio.wait_for(_answers(manager), 5) == 1
    assert manager.status_of("fake").state == "ready"
    assert not closed
    gate.opened.set()
    await manager.settled()
    assert await _answers(manager) == 2
    assert closed == [old.loaded.engine]
    assert manager.status("fake", 1).state == "unloaded"


async def test_a_request_that_holds_a_version_is_answered_by_it_across_the_swap(
    store: Path, closed: list[FakeEngine]
) -> None:
    fake_bundle(store, version=1)
    manager = _manager(store)
    old = await manager.get("fake")
    with old.open():
        with old.open():
            fake_bundle(store, version=2)
            await _followed(manager)
            assert await _answers(manager) == 2
            assert not closed
        assert not closed
        black = np.zeros((1, *old.loaded.engine.input_shape), np.uint8)
        assert old.loaded.confidences(black).argmax() == 0
    await manager.settled()
    assert closed == [old.loaded.engine]


async def test_a_version_that_somebody_still_names_stays(
    store: Path, closed: list[FakeEngine]
) -> None:
    fake_bundle(store, version=1)
    manager = _manager(store)
    await manager.get("fake")
    await manager.get("fake@1")
    fake_bundle(store, version=2)
    await _followed(manager)
    assert await _answers(manager) == 2
    assert manager.status("fake", 1).state == "ready"
    assert not closed


async def test_nobody_waits_or_fails_while_versions_come_one_after_the_other(store: Path) -> None:
    fake_bundle(store, version=1)
    manager = _manager(store)
    await manager.get("fake")
    seen: list[int] = []
    ended = asyncio.Event()

    async def ask() -> None:
        while not ended.is_set():
            seen.append(await _answers(manager))
            await asyncio.sleep(0)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for version in range(2, 12):
        await asyncio.to_thread(fake_bundle, store, version=version)
        await _followed(manager)
        assert await _answers(manager) == version
    ended.set()
    await asyncio.gather(*asking)
    assert set(seen) >= {1, 11}


async def test_a_model_that_nobody_asked_for_is_not_loaded(store: Path, loads: list[str]) -> None:
    fake_bundle(store, version=1)
    manager = _manager(store)
    fake_bundle(store, version=2)
    await _followed(manager)
    assert loads == []


async def test_two_models_that_do_not_fit_together_both_answer(store: Path) -> None:
    for name in ("one", "two", "three"):
        fake_bundle(store, name, padding=400_000)
    manager = _manager(store, model_memory_mb=1)
    async with asyncio.timeout(30):
        for _ in range(3):
            await asyncio.gather(*(_answers(manager, name) for name in ("one", "two", "three") * 3))


# -- bundles that are broken


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_version_changes_nothing_but_its_own_state(store: Path, kind: str) -> None:
    damage, word = BROKEN[kind]
    good(store, 1)
    manager = _manager(store)
    assert await _answers(manager) == 1
    damage(good(store, 2))
    await manager.reload()
    assert await _answers(manager) == 1
    await manager.settled()
    for text in ("fake", "fake@latest", "fake@1"):
        assert await _answers(manager, text) == 1
    status = manager.status("fake", 2)
    assert (status.state, word in str(status.reason)) == ("failed", True), status.reason
    with pytest.raises(NotReadyError) as caught:
        await manager.get("fake@2")
    for told in (str(status.reason), caught.value.detail):
        assert str(store.parent) not in told
        assert " /" not in told

    good(store, 3)
    await _followed(manager)
    assert await _answers(manager) == 3
    assert manager.status("fake", 2).state == "failed"
    await manager.close()


async def test_a_version_that_is_copied_slowly_is_good_once_it_is_whole(
    store: Path, tmp_path: Path
) -> None:
    good(store, 1)
    manager = _manager(store)
    await _answers(manager)
    source, target = good(tmp_path / "from", 2), store / "fake" / "2"
    target.mkdir()
    graph = (source / "graph.json").read_bytes()
    steps: list[Callable[[], object]] = [
        lambda: shutil.copy(source / MANIFEST, target),
        lambda: (target / "graph.json").write_bytes(graph[:10]),
        lambda: (target / "graph.json").write_bytes(graph),
    ]
    for step in steps:
        step()
        await _followed(manager)
        assert await _answers(manager) == 1
        assert manager.status("fake", 2).state == "failed"
    shutil.copy(source / "golden.png", target)
    await _followed(manager)
    assert await _answers(manager) == 2
    assert manager.status("fake", 2).state == "ready"


async def test_what_has_failed_is_tried_again_only_when_it_changes_or_when_asked(
    store: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str]
) -> None:
    def explode(path: Path, options: EngineOptions) -> FakeEngine:
        raise ZeroDivisionError(path, options)

    fake_bundle(store, version=1)
    manager = _manager(store)
    await manager.get("fake")
    fake_bundle(store, version=2)
    with monkeypatch.context() as patch:
        patch.setattr(FakeEngine, "read", explode)
        for _ in range(3):
            await _followed(manager)
    await _followed(manager)
    assert loads == ["fake@1", "fake@2"]
    assert await _answers(manager) == 1
    await manager.reload(afresh=True)
    await manager.settled()
    assert loads == ["fake@1", "fake@2", "fake@2"]
    assert await _answers(manager) == 2


async def test_an_alias_cannot_be_set_to_what_only_the_memory_still_holds(store: Path) -> None:
    folder = fake_bundle(store).folder
    manager = _manager(store)
    await manager.get("fake@1")
    (folder / MANIFEST).write_text("{")
    await _followed(manager)
    assert await _answers(manager, "fake@1") == 1  # who names it is still answered
    with pytest.raises(NotReadyError):
        await set_alias(manager, "fake", "stable", 1)
    assert manager.catalog.aliases("fake") == {}


# -- changes


async def test_a_model_that_is_deleted_is_gone_once_its_last_request_is_answered(
    store: Path, closed: list[FakeEngine]
) -> None:
    fake_bundle(store)
    manager = _manager(store)
    slot = await manager.get("fake")
    with slot.open():
        FolderStore(store).remove("fake", 1)
        await _followed(manager)
        with pytest.raises(ModelNotFoundError):
            await manager.get("fake")
        assert not closed
    await manager.settled()
    assert closed == [slot.loaded.engine]


async def test_when_the_newest_version_is_deleted_the_one_before_answers(
    store: Path, gate: Gate
) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    manager = _manager(store)
    await manager.get("fake")
    gate.held.add(1)
    FolderStore(store).remove("fake", 2)
    await manager.reload()
    assert await asyncio.wait_for(_answers(manager), 5) == 2  # until version 1 is loaded
    gate.opened.set()
    await manager.settled()
    assert await _answers(manager) == 1
    with pytest.raises(VersionNotFoundError):
        manager.status("fake", 2)


async def test_an_alias_that_is_moved_elsewhere_is_followed(store: Path, gate: Gate) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    folder = FolderStore(store)
    folder.route("fake", lambda routing: routing.with_alias("stable", 1))
    manager = _manager(store)
    for text in ("fake", "fake@stable"):
        assert await _answers(manager, text) == 1
    gate.held.add(2)
    folder.route("fake", lambda routing: routing.with_alias("stable", 2))
    await manager.reload()
    for text in ("fake", "fake@stable"):
        assert await asyncio.wait_for(_answers(manager, text), 5) == 1
    gate.opened.set()
    await manager.settled()
    for text in ("fake", "fake@stable"):
        assert await _answers(manager, text) == 2
    assert manager.status("fake", 1).state == "unloaded"


async def test_an_alias_is_set_only_to_what_has_proved_itself(store: Path) -> None:
    fake_bundle(store, version=1)
    (fake_bundle(store, version=2).folder / "graph.json").write_text("{}")
    manager = _manager(store)
    with pytest.raises(NotReadyError, match="checksum"):
        await set_alias(manager, "fake", "stable", 2)
    with pytest.raises(VersionNotFoundError):
        await set_alias(manager, "fake", "stable", 3)
    with pytest.raises(InvalidParameterError):
        await set_alias(manager, "fake", "latest", 1)
    assert manager.catalog.aliases("fake") == {"latest": 1}
    assert not (store / "fake" / "routing.json").exists()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_split_comes_and_goes_without_a_request_that_waits_or_fails(
    store: Path, gate: Gate, *, elsewhere: bool
) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    folder = FolderStore(store)
    folder.route("fake", lambda routing: routing.with_alias("stable", 1))
    manager = _manager(store)
    assert await _answers(manager) == 1
    callers = [str(number) for number in range(30)]

    async def versions() -> set[int]:
        async with asyncio.timeout(5):
            return {_version(await manager.get("fake", caller)) for caller in callers}

    async def change(traffic: Traffic | None) -> None:
        if elsewhere:
            folder.route("fake", lambda routing: routing.with_traffic(traffic))
            await manager.reload()
        else:
            await set_traffic(manager, "fake", traffic)

    gate.held.add(2)
    changing = asyncio.create_task(change(_split(v1=50, v2=50)))
    assert await asyncio.to_thread(gate.entered.wait, 20)
    assert await versions() == {1}
    gate.opened.set()
    await changing
    await manager.settled()
    assert await versions() == {1, 2}
    await change(_split(v2=100))
    assert await versions() == {2}
    await manager.settled()
    assert await versions() == {2}
    await change(None)
    assert len(await versions()) == 1
    await manager.settled()
    assert await versions() == {1}


async def test_a_model_is_rolled_back_twice_and_then_there_is_nothing_before(store: Path) -> None:
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    manager = _manager(store)
    await set_alias(manager, "fake", "stable", 2)
    await set_alias(manager, "fake", "stable", 3)
    await set_traffic(manager, "fake", _split(v3=100))
    assert await _answers(manager) == 3
    for version in (2, 1):
        await roll_back(manager, "fake")
        assert await _answers(manager) == version
    with pytest.raises(ConflictError, match="no version to go back to"):
        await roll_back(manager, "fake")
    assert await _answers(manager) == 1


async def test_without_an_alias_a_model_is_rolled_back_to_the_good_version_below(
    store: Path,
) -> None:
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    (store / "fake" / "2" / MANIFEST).write_text("{")
    manager = _manager(store)
    assert await _answers(manager) == 3
    await roll_back(manager, "fake")
    assert await _answers(manager) == 1
    fake_bundle(store, version=4)
    await _followed(manager)
    assert await _answers(manager) == 1  # whoever rolled back wants no newer one unasked


# -- memory


async def test_what_is_unloaded_is_loaded_again_when_it_is_asked_for(
    store: Path, loads: list[str], closed: list[FakeEngine]
) -> None:
    fake_bundle(store)
    manager = _manager(store)
    await manager.load("fake", 1)
    assert manager.status("fake", 1).state == "ready"
    await manager.unload("fake", 1)
    await manager.unload("fake", 1)
    await manager.settled()
    assert manager.status("fake", 1).state == "unloaded"
    assert len(closed) == 1
    assert await _answers(manager) == 1
    assert loads == ["fake@1", "fake@1"]


async def test_a_model_nobody_asks_for_leaves_the_memory_and_those_of_the_start_stay(
    store: Path,
) -> None:
    for name in ("fake", "wanted", "held", "idle"):
        fake_bundle(store, name)
    manager = _manager(store, models=("wanted",), idle_unload_s=0.01, store_poll_s=0.01)
    for name in ("fake", "wanted", "idle"):
        await manager.get(name)
    held = await manager.get("held")
    watching = asyncio.create_task(manager.watch())
    with held.open():
        await soon(lambda: manager.status("idle", 1).state == "unloaded")
        assert manager.status("held", 1).state == "ready"
    await soon(lambda: manager.status("held", 1).state == "unloaded")
    assert manager.status("fake", 1).state == "ready"
    assert manager.status("wanted", 1).state == "ready"
    watching.cancel()
    assert await _answers(manager, "held") == 1
    await manager.close()


async def test_the_least_recently_used_model_makes_room(store: Path) -> None:
    for name in ("one", "two", "three"):
        fake_bundle(store, name, padding=400_000)  # 0.8 MB of memory each
    manager = _manager(store, model_memory_mb=2)
    for name in ("one", "two", "one", "three"):
        await _answers(manager, name)
    states = {name: manager.status(name, 1).state for name in ("one", "two", "three")}
    assert states == {"one": "ready", "two": "unloaded", "three": "ready"}


async def test_what_can_never_fit_is_refused_and_evicts_nothing(store: Path) -> None:
    fake_bundle(store)
    fake_bundle(store, "large", padding=2_000_000)
    manager = _manager(store, model_memory_mb=2)
    await _answers(manager)
    with pytest.raises(NotReadyError, match="model_memory_mb"):
        await manager.get("large")
    assert manager.status("fake", 1).state == "ready"
    assert manager.status("large", 1).state == "failed"


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two versions of `shoes`, both of them the builtin model."""
    store = tmp_path_factory.mktemp("home") / "models"
    for version in ("1", "2"):
        becomes_litert(store / "shoes" / version, builtin_graph())
    return store


def _growth(store: Path, *how: str) -> float:
    """Megabytes by which a process grows over thirty swaps."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.serving.swaps", str(store), *how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return float(done.stdout)


def test_a_version_that_was_followed_gives_its_memory_back(two_versions: Path) -> None:
    assert _growth(two_versions) < 8
    assert _growth(two_versions, "leak") > 80  # as it would be seen


async def test_closing_ends_also_a_load_that_has_not_begun(store: Path) -> None:
    fake_bundle(store)
    manager = _manager(store)
    asking = asyncio.create_task(manager.get("fake"))
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await manager.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


# -- the store


def _put_away(store: Path) -> None:
    store.rename(store.parent / "away")
    store.symlink_to(store)  # a circle: nobody, not even root, can read that


def _put_back(store: Path) -> None:
    store.unlink()
    (store.parent / "away").rename(store)


async def test_while_the_store_cannot_be_read_everything_goes_on(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    manager = _manager(store)
    await set_alias(manager, "fake", "stable", 1)
    await _answers(manager, "fake@2")
    _put_away(store)
    with pytest.raises(NotReadyError, match="cannot be read now"):
        await manager.reload()
    with pytest.raises(NotReadyError, match="cannot be written now"):
        await set_alias(manager, "fake", "stable", 2)
    assert await _answers(manager) == 1
    assert await _answers(manager, "fake@2") == 2
    assert manager.catalog.aliases("fake") == {"stable": 1, "latest": 2}

    _put_back(store)
    fake_bundle(store, version=3)
    await manager.reload()
    await set_alias(manager, "fake", "stable", 3)
    assert await _answers(manager) == 3
