"""Models in memory."""

import asyncio
from pathlib import Path

import pytest
from tests.support import fake_bundle

from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import NotReadyError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.registry import scan
from viewfinder.serving.manager import ModelManager


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were really loaded, in order."""
    seen: list[str] = []

    def watch(bundle: Bundle, *, threads: int) -> LoadedVariant:
        seen.append(f"{bundle.manifest.name}@{bundle.manifest.version}")
        return load_variant(bundle, threads=threads)

    monkeypatch.setattr("viewfinder.serving.manager.load_variant", watch)
    return seen


def _manager(store: Path) -> ModelManager:
    return ModelManager(scan([store]), threads=1, default="fake")


async def test_a_model_is_loaded_once_when_it_is_first_needed(
    store: Path, loads: list[str]
) -> None:
    fake_bundle(store, version=1)
    fake_bundle(store, version=2)
    manager = _manager(store)
    assert manager.status("fake", 2).state == "unloaded"
    assert manager.default_status().state == "unloaded"
    many = await asyncio.gather(*(manager.get(text) for text in (None, "fake", "fake@2") * 5))
    assert len({id(loaded) for loaded in many}) == 1
    assert loads == ["fake@2"]
    assert manager.default_status().state == "ready"
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
