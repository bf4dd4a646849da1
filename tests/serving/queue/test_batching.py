"""A device that likes batches: decoded on the CPU, put together while the device is busy."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.serving.queues import depth
from tests.support import Engine, fake_bundle, grey, soon

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.errors import DeadlineExceededError
from viewfinder.settings import CacheSettings, Settings
from viewfinder.types import Prediction

FAR = time.monotonic() + 3600
GPU: dict[str, Any] = {"device": "gpu", "max_useful_batch": 8}


@asynccontextmanager
async def _services(store: Path, engine: Engine) -> AsyncIterator[Services]:
    services = build_services(
        Settings(
            model_store=store,
            default_model="fake",
            models=("fake", "other") if (store / "other").exists() else (),
            threads=2,
            cache=CacheSettings(enabled=False),
        )
    )
    async with running(services):
        engine.forget()
        try:
            yield services
        finally:
            engine.open.set()


def _ask(
    services: Services, shade: int, deadline: float = FAR, model: str = "fake"
) -> asyncio.Task[Prediction]:
    return asyncio.create_task(
        services.classify.classify(grey(shade), deadline=deadline, model=model)
    )


async def _hold(services: Services, engine: Engine) -> list[asyncio.Task[Prediction]]:
    """Keep both calls that a device takes side by side."""
    engine.open.clear()
    holding = []
    for shade in (254, 255):
        holding.append(_ask(services, shade))
        await soon(lambda: engine.entered.acquire(blocking=False))
    return holding


async def _waiting(services: Services, count: int) -> None:
    await soon(lambda: depth(services.devices.of("gpu")) == count)


async def test_batches_form_only_while_the_device_is_busy(store: Path, engine: Engine) -> None:
    fake_bundle(store, **GPU)
    async with _services(store, engine) as services:
        for shade in (10, 20, 30):
            await _ask(services, shade)
        assert engine.calls == [[10], [20], [30]]
        engine.forget()
        holding = await _hold(services, engine)
        asked = [_ask(services, shade) for shade in range(12)]
        await _waiting(services, 12)
        engine.open.set()
        answers = await asyncio.gather(*asked)
        await asyncio.gather(*holding)
    assert engine.calls[:2] == [[254], [255]]
    assert sorted(map(len, engine.calls)) == [1, 1, 4, 8]
    assert [answer.top.index for answer in answers] == [shade // 16 for shade in range(12)]


async def test_poison_fails_alone(store: Path, engine: Engine) -> None:
    fake_bundle(store, poison=35, **GPU)
    shades = [5, 25, 35, 45, 65, 85, 105, 125]
    async with _services(store, engine) as services:
        holding = await _hold(services, engine)
        asked = [_ask(services, shade) for shade in shades]
        await _waiting(services, len(shades))
        engine.open.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.gather(*holding)
        again = await _ask(services, 200)
    assert sorted(engine.calls[2]) == shades
    assert [35] in engine.calls
    found = {
        shade: answer.top.index
        for shade, answer in zip(shades, answers, strict=True)
        if isinstance(answer, Prediction)
    }
    assert found == {shade: shade // 16 for shade in shades if shade != 35}
    assert isinstance(answers[2], ValueError)
    assert again.top.index == 200 // 16


async def test_models_on_one_device_share_its_queue_and_no_batch(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store, **GPU)
    fake_bundle(store, "other", classes=4, **GPU)
    async with _services(store, engine) as services:
        holding = await _hold(services, engine)
        asked = [
            _ask(services, shade, model=model)
            for shade, model in zip(range(0, 200, 20), ["fake", "other"] * 5, strict=True)
        ]
        await _waiting(services, 10)
        assert len(engine.calls) == 2  # neither model has a way round the other
        engine.open.set()
        answers = await asyncio.gather(*asked)
        await asyncio.gather(*holding)
    assert sorted(sorted(call) for call in engine.calls[2:]) == [
        [0, 40, 80, 120, 160],
        [20, 60, 100, 140, 180],
    ]
    assert [answer.model.name for answer in answers] == ["fake", "other"] * 5
    assert [answer.top.index for answer in answers] == [
        shade * (16 if n % 2 == 0 else 4) // 256 for n, shade in enumerate(range(0, 200, 20))
    ]


async def test_the_deadline_holds_before_the_device_too(store: Path, engine: Engine) -> None:
    fake_bundle(store, **GPU)
    async with _services(store, engine) as services:
        holding = await _hold(services, engine)
        last = time.monotonic() + 1
        late, patient = _ask(services, 20, last), _ask(services, 40)
        await _waiting(services, 2)  # both have been decoded in time
        await soon(lambda: time.monotonic() > last)
        engine.open.set()
        with pytest.raises(DeadlineExceededError):
            await late
        assert (await patient).top.index == 40 // 16
        await asyncio.gather(*holding)
    assert engine.calls == [[254], [255], [40]]


async def test_who_leaves_between_decoding_and_the_device_is_not_inferred(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store, **GPU)
    async with _services(store, engine) as services:
        holding = await _hold(services, engine)
        asked = [_ask(services, shade) for shade in range(8)]
        await _waiting(services, 8)
        for task in asked[::2]:
            task.cancel()
        await _waiting(services, 4)
        engine.open.set()
        await asyncio.gather(*asked, *holding, return_exceptions=True)
    assert [sorted(call) for call in engine.calls] == [[254], [255], [1, 3, 5, 7]]


async def test_the_most_urgent_goes_first_across_models(store: Path, engine: Engine) -> None:
    fake_bundle(store, device="gpu")
    fake_bundle(store, "other", device="gpu")
    async with _services(store, engine) as services:
        holding = await _hold(services, engine)
        places = {20: ("fake", FAR - 10), 40: ("other", FAR - 30), 60: ("fake", FAR - 20)}
        asked = [
            _ask(services, shade, deadline, model) for shade, (model, deadline) in places.items()
        ]
        await _waiting(services, 3)
        engine.open.set()
        await asyncio.gather(*asked, *holding)
    # Two calls run side by side: the two most urgent, in either order, and then the third.
    assert engine.calls[2] in ([40], [60])
    assert sorted(engine.calls[2:]) == [[20], [40], [60]]


async def test_where_it_went_is_told(store: Path, engine: Engine) -> None:
    fake_bundle(store, milliseconds=20, **GPU)
    async with _services(store, engine) as services:
        timing = (await _ask(services, 20)).timing
    assert timing.infer >= 20
    assert timing.decode > 0
    assert timing.total >= timing.infer + timing.decode
