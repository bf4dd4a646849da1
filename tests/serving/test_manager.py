"""Models in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_bundle

from viewfinder.engines.fake import FakeEngine
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import NotReadyError
from viewfinder.registry.bundle import Bundle, describe
from viewfinder.registry.folder import FolderStore
from viewfinder.serving.manager import ModelManager
from viewfinder.settings import Settings


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were really loaded, in order."""
    seen: list[str] = []

    def watch(bundle: Bundle, **options: Any) -> LoadedVariant:
        seen.append(f"{bundle.manifest.name}@{bundle.manifest.version}")
        return load_variant(bundle, **options)

    monkeypatch.setattr("viewfinder.serving.manager.load_variant", watch)
    return seen


def _manager(store: Path) -> ModelManager:
    settings = Settings(home=store.parent, threads=1)
    return ModelManager(FolderStore(store), settings, default="fake")


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
