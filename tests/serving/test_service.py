"""The whole path of one photo, without HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support import fake_bundle, grey

from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.errors import (
    DeadlineExceededError,
    MalformedRequestError,
    PayloadTooLargeError,
)
from viewfinder.registry.bundle import MANIFEST
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Limits, Settings

FAR = time.monotonic() + 3600


@asynccontextmanager
async def _service(store: Path, threads: int = 2) -> AsyncIterator[ClassifyService]:
    settings = Settings(
        model_store=store,
        default_model="fake",
        threads=threads,
        limits=Limits(image_bytes=5000),
    )
    services = build_services(settings)
    async with running(services):
        yield services.classify


async def test_the_answer_names_the_best_classes_first(store: Path) -> None:
    fake_bundle(store)
    async with _service(store) as service:
        answer = await service.classify(grey(200), deadline=FAR, top_k=3)
    assert answer.top.label == "step-12"
    assert answer.top == answer.classes[0]
    assert [score.label for score in answer.classes] == ["step-12", "step-0", "step-1"]
    assert answer.top.confidence == pytest.approx(0.9993, abs=1e-4)
    assert (answer.model.name, answer.model.version, answer.model.variant) == ("fake", 1, "only")
    timing = answer.timing
    assert 0 < timing.decode + timing.queue + timing.infer <= timing.total
    assert not answer.abstained


async def test_min_confidence_only_filters_classes(store: Path) -> None:
    fake_bundle(store)
    async with _service(store) as service:
        one = await service.classify(grey(0), deadline=FAR, min_confidence=0.5)
        none = await service.classify(grey(0), deadline=FAR, min_confidence=1)
    assert len(one.classes) == 1
    assert none.classes == ()
    assert none.top.label == "step-0"


async def test_top_k_over_the_number_of_classes_gives_all(store: Path) -> None:
    fake_bundle(store, classes=3)
    async with _service(store) as service:
        answer = await service.classify(grey(0), deadline=FAR, top_k=100)
    assert len(answer.classes) == 3


async def test_under_its_threshold_a_model_abstains_and_keeps_its_class(store: Path) -> None:
    path = fake_bundle(store).folder / MANIFEST
    path.write_text(
        path.read_text().replace('"temperature"', '"abstain_below": 0.9999, "temperature"')
    )
    async with _service(store) as service:
        answer = await service.classify(grey(0), deadline=FAR)
    assert answer.abstained
    assert answer.top.label == "step-0"


async def test_the_wait_for_a_core_is_told_as_queue(store: Path) -> None:
    fake_bundle(store, milliseconds=100)
    async with _service(store, threads=1) as service:
        first, second = await asyncio.gather(
            *(service.classify(grey(shade), deadline=FAR) for shade in (0, 255))
        )
    assert first.timing.infer >= 100
    assert second.timing.queue >= 100
    assert second.timing.total >= 200


async def test_a_deadline_that_has_passed_is_told(store: Path) -> None:
    fake_bundle(store)
    async with _service(store) as service:
        with pytest.raises(DeadlineExceededError):
            await service.classify(grey(0), deadline=time.monotonic() - 1)


async def test_nothing_and_too_much_are_refused(store: Path) -> None:
    fake_bundle(store)
    async with _service(store) as service:
        with pytest.raises(MalformedRequestError, match="empty"):
            await service.classify(b"", deadline=FAR)
        with pytest.raises(PayloadTooLargeError, match="5,000"):
            await service.classify(b"x" * 5001, deadline=FAR)
