"""A shadow sees what a model answers, and nobody sees what it says."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support import fake_bundle, grey

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import Routing, Traffic
from viewfinder.serving.rerouting import set_traffic
from viewfinder.serving.shadow import Comparison
from viewfinder.settings import Settings
from viewfinder.types import Prediction

FAR = time.monotonic() + 3600


@asynccontextmanager
async def _services(store: Path, *, shadow: int = 2, queue: int = 256) -> AsyncIterator[Services]:
    """Version 1 answers, and a shadow looks on."""
    FolderStore(store).route("fake", lambda _: _shadowed(shadow))
    settings = Settings(
        home=store.parent, model_store=store, default_model="fake", threads=1, queue_size=queue
    )
    services = build_services(settings)
    async with running(services):
        yield services


def _shadowed(shadow: int) -> Routing:
    return Routing().with_alias("stable", 1).with_traffic(Traffic(shadow=shadow))


async def _classify(services: Services, photo: bytes, model: str | None = None) -> Prediction:
    answer = await services.classify.classify(photo, deadline=FAR, model=model)
    await services.classify.shadows.settled()
    return answer


def _comparison(services: Services) -> Comparison:
    comparison = services.classify.shadows.comparison("fake")
    assert comparison is not None
    return comparison


async def test_its_answers_are_compared_and_never_returned(store: Path) -> None:
    fake_bundle(store, version=1)
    fake_bundle(store, version=2, classes=8)  # the same names, twice as wide
    async with _services(store) as services:
        for brightness, label in ((0, "step-0"), (10, "step-0"), (100, "step-6"), (250, "step-15")):
            answer = await _classify(services, grey(brightness))
            assert (answer.model.version, answer.top.label) == (1, label)
        comparison = _comparison(services)
    # Of eight classes the dark ones have the same name as of sixteen.
    assert (comparison.version, comparison.compared, comparison.agreed) == (2, 4, 2)
    assert (comparison.failed, comparison.skipped) == (0, 0)
    assert comparison.difference == pytest.approx(2 * 0.9993, abs=0.01)


async def test_it_sees_only_what_names_the_model_alone(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    async with _services(store) as services:
        for brightness, model in ((0, "fake@1"), (1, "fake@stable"), (2, "fake@2")):
            await _classify(services, grey(brightness), model)
        assert _comparison(services).compared == 0
        await _classify(services, grey(3), "fake")
        assert _comparison(services).compared == 1


async def test_an_answer_from_the_cache_is_not_compared_again(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    async with _services(store) as services:
        for _ in range(3):
            await _classify(services, grey(0))
        assert _comparison(services).compared == 1


async def test_the_version_that_answers_is_not_its_own_shadow(store: Path) -> None:
    fake_bundle(store, version=1)
    async with _services(store, shadow=1) as services:
        await _classify(services, grey(0))
        assert _comparison(services) == Comparison(1)


async def test_what_it_cannot_answer_is_counted_and_disturbs_nobody(store: Path) -> None:
    fake_bundle(store, version=1)
    fake_bundle(store, version=2, poison=100)
    async with _services(store) as services:
        for brightness in (99, 100, 101):
            assert (await _classify(services, grey(brightness))).model.version == 1
        comparison = _comparison(services)
    assert (comparison.compared, comparison.failed) == (2, 1)


@pytest.mark.parametrize("missing", [False, True])
async def test_a_shadow_that_is_broken_or_not_there_is_counted(
    store: Path, *, missing: bool
) -> None:
    fake_bundle(store, version=1)
    if not missing:
        (fake_bundle(store, version=2).folder / "graph.json").write_text("{}")
    async with _services(store) as services:
        assert (await _classify(services, grey(0))).model.version == 1
        assert _comparison(services) == Comparison(2, failed=1)


async def test_where_people_wait_the_shadow_is_skipped(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, version=version)
    async with _services(store, queue=1) as services:
        answer = await _classify(services, grey(0))
        entered, opened = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            assert opened.wait(20)

        # The only thread is busy, and one photo may wait in each lane.
        holding = asyncio.create_task(services.devices.cpu.run(hold, deadline=FAR))
        assert await asyncio.to_thread(entered.wait, 20)
        for brightness in range(1, 31):
            services.classify.shadows.show("fake", grey(brightness), answer)
        for _ in range(1000):
            if _comparison(services).skipped == 29:
                break
            await asyncio.sleep(0)
        opened.set()
        await holding
        await services.classify.shadows.settled()
        assert _comparison(services) == Comparison(2, compared=2, agreed=2, skipped=29)


async def test_another_shadow_begins_at_nothing(store: Path) -> None:
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    async with _services(store) as services:
        await _classify(services, grey(0))
        assert _comparison(services) == Comparison(2, compared=1, agreed=1)
        await set_traffic(services.models, "fake", Traffic(shadow=3))
        assert _comparison(services) == Comparison(3)
        await _classify(services, grey(1))
        assert _comparison(services) == Comparison(3, compared=1, agreed=1)
        await set_traffic(services.models, "fake", None)
        assert services.classify.shadows.comparison("fake") is None
        await _classify(services, grey(2))
