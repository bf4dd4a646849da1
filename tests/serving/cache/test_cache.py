"""Answers that are kept, and work that is done once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.support import Engine, empty_png, fake_bundle, grey, serving_here, soon

from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.engines.loader import load_variant
from viewfinder.errors import (
    DeadlineExceededError,
    InvalidImageError,
    OverloadedError,
    ServiceError,
)
from viewfinder.registry.bundle import MANIFEST, Bundle
from viewfinder.serving.cache.keys import key_of
from viewfinder.serving.cache.single_flight import CachedComputation
from viewfinder.serving.cache.store import MemoryCache
from viewfinder.serving.compute import Computed, Scores
from viewfinder.serving.rerouting import set_alias
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import CacheSettings, Settings
from viewfinder.types import Prediction

FAR = time.monotonic() + 24 * 3600  # of the import: a suite may run for long
BROKEN = empty_png(8, 8)


@asynccontextmanager
async def _service(store: Path, engine: Engine, **cache: Any) -> AsyncIterator[ClassifyService]:
    settings = Settings(
        model_store=store, default_model="fake", threads=1, cache=CacheSettings(**cache)
    )
    services = build_services(settings)
    async with running(services):
        engine.forget()
        yield services.classify


def _flights(service: ClassifyService) -> int:
    assert service._cached is not None
    return len(service._cached._flights)


def _best(answer: Prediction) -> tuple[object, ...]:
    return answer.top, answer.model, answer.abstained


async def test_the_same_photo_again_is_answered_without_work(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        first = await service.classify(grey(200), deadline=FAR, top_k=16)
        again = await service.classify(grey(200), deadline=FAR, top_k=16)
        one = await service.classify(grey(200), deadline=FAR, top_k=1)
        none = await service.classify(grey(200), deadline=FAR, min_confidence=1)
    assert engine.calls == [[200]]
    assert (first.cached, again.cached, one.cached, none.cached) == (False, True, True, True)
    assert again.classes == first.classes
    assert one.classes == first.classes[:1]
    assert none.classes == ()
    assert _best(first) == _best(again) == _best(one) == _best(none)
    assert len({answer.id for answer in (first, again, one, none)}) == 4
    assert again.timing.infer == again.timing.decode == 0


async def test_an_answer_first_asked_for_in_short_is_kept_whole(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        await service.classify(grey(0), deadline=FAR, top_k=1, min_confidence=0.9)
        whole = await service.classify(grey(0), deadline=FAR, top_k=100)
    assert whole.cached
    assert len(whole.classes) == 16


async def test_another_photo_model_or_version_is_worked_on(store: Path, engine: Engine) -> None:
    for name, version in (("fake", 1), ("fake", 2), ("other", 1)):
        fake_bundle(store, name, version)
    async with _service(store, engine) as service:
        answers = [
            await service.classify(photo, deadline=FAR, model=model)
            for model in ("fake@1", "fake@2", "other")
            for photo in (grey(50), grey(50, (33, 32)))
        ]
    assert [answer.cached for answer in answers] == [False] * 6
    assert engine.calls.count([50]) == 6


def test_the_name_of_an_answer_has_all_that_decides_it(store: Path) -> None:
    first = fake_bundle(store)
    before = load_variant(first, threads=1)
    manifest = first.folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"temperature": 1', '"temperature": 2'))
    after = load_variant(Bundle.read(first.folder), threads=1)
    other = replace(before, variant=before.variant.model_copy(update={"name": "other"}))
    names = {key_of(photo, loaded) for photo in "ab" for loaded in (before, after, other)}
    assert len(names) == 6


async def test_a_version_that_is_replaced_never_answers_again(store: Path, engine: Engine) -> None:
    fake_bundle(store, classes=16)
    services = build_services(Settings(model_store=store, default_model="fake", threads=1))
    async with running(services):
        engine.forget()
        before = await services.classify.classify(grey(200), deadline=FAR)
        (store / "fake").rename(store.parent / "old")
        fake_bundle(store, classes=4)  # the same name and number
        await services.models.reload()
        await services.models.settled()
        after = await services.classify.classify(grey(200), deadline=FAR)
    assert (before.top.label, after.top.label) == ("step-12", "step-3")
    assert not after.cached
    assert before.model == after.model


async def test_an_alias_that_moves_takes_no_answers_along(store: Path, engine: Engine) -> None:
    fake_bundle(store, version=1, classes=16)
    fake_bundle(store, version=2, classes=4)
    services = build_services(Settings(model_store=store, default_model="fake", threads=1))
    async with running(services):
        labels = []
        for version in (1, 2, 1):
            await set_alias(services.models, "fake", "live", version)
            engine.forget()
            answer = await services.classify.classify(grey(200), deadline=FAR, model="fake@live")
            labels.append((answer.top.label, answer.model.version, answer.cached))
    assert labels == [("step-12", 1, False), ("step-3", 2, False), ("step-12", 1, True)]
    assert not engine.calls


async def test_the_least_recently_used_answer_makes_room(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine, size=2) as service:

        async def cached(brightness: int) -> bool:
            return (await service.classify(grey(brightness), deadline=FAR)).cached

        assert [await cached(shade) for shade in (1, 2, 1, 3)] == [False, False, True, False]
        assert [await cached(shade) for shade in (1, 3, 2)] == [True, True, False]


async def test_fifty_at_once_are_one_inference(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        answers = await asyncio.gather(
            *(service.classify(grey(9), deadline=FAR, top_k=1 + n % 16) for n in range(50))
        )
        assert _flights(service) == 0
    assert engine.calls == [[9]]
    assert sum(not answer.cached for answer in answers) == 1
    assert len({answer.top for answer in answers}) == 1
    assert [len(answer.classes) for answer in answers] == [1 + n % 16 for n in range(50)]


def test_fifty_clients_at_once_are_one_inference(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    settings = Settings(model_store=store, default_model="fake", threads=1)
    with serving_here(settings) as server:
        engine.forget()

        async def ask() -> list[httpx2.Response]:
            limits = httpx2.Limits(max_connections=50)
            async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=30) as client:
                url, headers = f"{server.url}/v1/classify", {"Content-Type": "image/png"}
                return await asyncio.gather(
                    *(client.post(url, content=grey(9), headers=headers) for _ in range(50))
                )

        answers = [answer.json() for answer in asyncio.run(ask())]
        broken = [
            httpx2.post(
                f"{server.url}/v1/classify",
                content=BROKEN,
                headers={"Content-Type": "image/png"},
                trust_env=False,
            )
            for _ in range(3)
        ]
    assert engine.calls == [[9]]
    assert sum(not answer["cached"] for answer in answers) == 1
    assert len({answer["confidence"] for answer in answers}) == 1
    assert len({answer["id"] for answer in answers}) == 50
    assert {answer.status_code for answer in broken} == {422}
    assert {answer.json()["code"] for answer in broken} == {"invalid_image"}


async def _held(
    engine: Engine, service: ClassifyService, *deadlines: float
) -> list[asyncio.Task[Prediction]]:
    """Ask for the same photo once for each deadline while the only thread is busy with another."""
    engine.open.clear()
    holding = asyncio.create_task(service.classify(grey(255), deadline=FAR))
    await soon(lambda: engine.entered.acquire(blocking=False))
    asked = [holding]
    for deadline in deadlines:
        asked.append(asyncio.create_task(service.classify(grey(9), deadline=deadline)))
        for _ in range(10):  # as far as each can go
            await asyncio.sleep(0)
    return asked


async def test_when_the_first_leaves_the_next_takes_over(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        holding, *asked = await _held(engine, service, *[FAR] * 5)
        asked[0].cancel()
        asked[2].cancel()
        left = await asyncio.gather(asked[0], asked[2], return_exceptions=True)
        assert {type(one) for one in left} == {asyncio.CancelledError}
        engine.open.set()
        answers = await asyncio.gather(asked[1], asked[3], asked[4])
        await holding
        assert _flights(service) == 0
    assert engine.calls == [[255], [9]]
    assert [answer.cached for answer in answers] == [False, True, True]


async def test_when_all_leave_nothing_is_worked_on(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        holding, *asked = await _held(engine, service, *[FAR] * 20)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert _flights(service) == 1  # the other photo's
        engine.open.set()
        await holding
    assert engine.calls == [[255]]


async def test_a_follower_outlives_the_deadline_of_the_first(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        holding, first, second = await _held(engine, service, time.monotonic() + 0.2, FAR)
        late = time.monotonic() + 0.3
        await soon(lambda: time.monotonic() > late)
        engine.open.set()
        with pytest.raises(DeadlineExceededError):
            await first
        assert not (await second).cached
        await holding
        assert _flights(service) == 0
    assert engine.calls == [[255], [9]]


async def test_who_has_less_time_does_not_wait_for_the_late_turn_of_another(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        soonest = FAR - 3000
        holding, patient, hurried = await _held(engine, service, FAR, soonest)
        between = asyncio.create_task(service.classify(grey(100), deadline=FAR - 1000))
        behind = asyncio.create_task(service.classify(grey(9), deadline=FAR - 500))
        for _ in range(10):
            await asyncio.sleep(0)
        engine.open.set()
        answers = await asyncio.gather(holding, hurried, between, patient, behind)
        assert _flights(service) == 0
    # Not behind what is more urgent than the patient one.
    assert engine.calls[:3] == [[255], [9], [100]]
    assert [answer.cached for answer in answers][1] is False
    assert answers[4].cached


async def test_an_unforeseen_failure_of_the_first_is_nobody_elses(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        holding, *asked = await _held(engine, service, FAR, FAR, FAR)
        engine.failures[9] = ZeroDivisionError("once")
        engine.open.set()
        await holding
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert _flights(service) == 0
        again = await service.classify(grey(9), deadline=FAR)
    assert isinstance(answers[0], ZeroDivisionError)
    assert [isinstance(answer, Prediction) for answer in answers] == [False, True, True]
    assert again.cached


async def test_a_broken_photo_is_broken_for_all_and_is_not_kept(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store)
    async with _service(store, engine) as service:
        for _ in range(2):
            answers = await asyncio.gather(
                *(service.classify(BROKEN, deadline=FAR) for _ in range(20)),
                return_exceptions=True,
            )
            assert {type(answer) for answer in answers} == {InvalidImageError}
            assert len({str(answer) for answer in answers}) == 1
            assert _flights(service) == 0
        cached = service._cached
        assert cached is not None
        assert isinstance(cached._cache, MemoryCache)
        assert not cached._cache._values
    assert not engine.calls


async def test_switched_off_everything_is_worked_on(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    async with _service(store, engine, enabled=False) as service:
        at_once = await asyncio.gather(*(service.classify(grey(9), deadline=FAR) for _ in range(5)))
        later = await service.classify(grey(9), deadline=FAR)
    assert engine.calls == [[9]] * 6
    assert not any(answer.cached for answer in (*at_once, later))


class Work:
    """Stands for the work on a photo: counts its calls, and does what it is told to."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.calls = 0
        self._outcomes = list(outcomes)

    async def __call__(self) -> Computed:
        self.calls += 1
        await asyncio.sleep(0)
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if outcome is not None:
            raise outcome
        return Computed(Scores.best(np.array([0.75, 0.25], np.float32)), 0, 0, 0)


def _ask(
    cached: CachedComputation, work: Callable[[], Awaitable[Computed]], deadline: float = FAR
) -> asyncio.Task[Scores | Computed]:
    return asyncio.create_task(cached.run("key", 2, deadline, work))


@pytest.mark.parametrize(
    "refused",
    [OverloadedError("full", retry_after_s=1), DeadlineExceededError("late"), ValueError("odd")],
)
async def test_what_the_first_is_refused_the_next_one_tries(refused: Exception) -> None:
    cached, work = CachedComputation(MemoryCache(10)), Work(refused)
    first, *others = [_ask(cached, work) for _ in range(4)]
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert answers[0] is refused
    assert isinstance(answers[1], Computed)
    assert [isinstance(answer, Scores) for answer in answers[2:]] == [True, True]
    assert work.calls == 2
    assert not cached._flights


async def test_who_is_refused_in_turn_hears_it_for_himself() -> None:
    refusals: list[ServiceError] = [OverloadedError(str(n), retry_after_s=1) for n in range(3)]
    cached, work = CachedComputation(MemoryCache(10)), Work(*refusals)
    answers = await asyncio.gather(*(_ask(cached, work) for _ in range(3)), return_exceptions=True)
    assert answers == refusals
    assert not cached._flights


@pytest.mark.parametrize("kept", [b"", b"x", b"\xff" * 16, b"\0" * 15, b"\0" * 16, b"\0" * 8000])
async def test_what_somebody_else_has_put_there_is_not_served(kept: bytes) -> None:
    memory, work = MemoryCache(10), Work()
    await memory.put("key", kept)
    cached = CachedComputation(memory)
    assert isinstance(await cached.run("key", 2, FAR, work), Computed)
    again = await cached.run("key", 2, FAR, work)
    assert isinstance(again, Scores)
    assert again.confidence.tolist() == [0.75, 0.25]
    assert work.calls == 1
