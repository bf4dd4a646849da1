"""Heat maps among all other work: in pieces, in turns, and told to nobody but who asked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.queues import depth
from tests.support import Engine, encode, fake_bundle, grey, soon

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.errors import DeadlineExceededError, InvalidImageError, OverloadedError
from viewfinder.serving.callbacks import Callbacks, CompletedPrediction
from viewfinder.serving.recording import Answered
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings
from viewfinder.telemetry.cells import Place
from viewfinder.telemetry.metrics import Metrics
from viewfinder.types import Box, Prediction

FAR = time.monotonic() + 3600
# The picture as it is, and each place of a grid of eight by eight.
QUESTIONS = 65


@asynccontextmanager
async def serving(
    store: Path,
    *,
    threads: int = 1,
    queue_size: int = 256,
    metrics: Metrics | None = None,
    **options: Any,
) -> AsyncIterator[Services]:
    """The parts of a process whose model is the fake one, warmed up."""
    bundle = fake_bundle(store, **options)
    name = bundle.manifest.name
    settings = Settings(
        model_store=store, default_model=name, threads=threads, queue_size=queue_size
    )
    services = build_services(settings, metrics=metrics)
    async with running(services):
        yield services


async def explained(
    service: ClassifyService, photo: bytes, deadline: float | None = None
) -> Prediction:
    return await service.classify(photo, deadline=deadline or FAR, explain="heatmap")


async def test_nothing_is_hot_in_a_flat_photo(store: Path) -> None:
    async with serving(store) as services:
        answer = await explained(services.classify, grey(200))
    explanation = answer.explanation
    assert explanation is not None
    assert (explanation.method, explanation.label, explanation.index) == (
        "occlusion",
        "step-12",
        12,
    )
    assert explanation.values == ((0.0,) * 8,) * 8
    assert explanation.box == Box(0, 0, 1, 1)


async def test_who_does_not_ask_gets_none_and_costs_one_question(
    store: Path, engine: Engine
) -> None:
    async with serving(store) as services:
        engine.forget()
        answer = await services.classify.classify(grey(10), deadline=FAR)
    assert answer.explanation is None
    assert len(engine.calls) == 1


async def test_what_the_cache_knows_is_explained_as_well(store: Path, engine: Engine) -> None:
    async with serving(store) as services:
        await services.classify.classify(grey(10), deadline=FAR)
        engine.forget()
        answer = await explained(services.classify, grey(10))
    assert answer.cached
    assert answer.explanation is not None
    assert len(engine.calls) == QUESTIONS


async def test_the_time_of_the_heat_map_is_part_of_the_whole(store: Path) -> None:
    async with serving(store, milliseconds=2) as services:
        timing = (await explained(services.classify, grey(10))).timing
    assert timing.total >= QUESTIONS * 2 > timing.decode + timing.queue + timing.infer


async def test_others_are_answered_in_between(store: Path, engine: Engine) -> None:
    async with serving(store, milliseconds=5) as services:
        engine.forget()
        explaining = asyncio.create_task(explained(services.classify, grey(10)))
        await soon(lambda: len(engine.calls) > 3)
        await services.classify.classify(grey(200), deadline=FAR)
        await explaining
    questions = [brightness for (brightness,) in engine.calls]
    assert questions.index(200) < len(questions) - 30


async def test_all_who_come_meanwhile_go_before_it(store: Path, engine: Engine) -> None:
    async with serving(store, milliseconds=5) as services:
        engine.forget()
        explaining = asyncio.create_task(explained(services.classify, grey(10)))
        await soon(lambda: len(engine.calls) > 3)
        engine.open.clear()
        plain = [
            asyncio.create_task(services.classify.classify(grey(bright), deadline=FAR + 60))
            for bright in range(200, 205)
        ]
        await soon(lambda: services.devices.cpu.depths == {"interactive": 5, "batch": 0})
        engine.open.set()
        await asyncio.gather(explaining, *plain)
    questions = [brightness for (brightness,) in engine.calls]
    first = questions.index(200)
    assert questions[first : first + 5] == [200, 201, 202, 203, 204]
    assert len(questions) - first > 30


async def test_no_more_waits_in_the_queue_than_keeps_the_threads_busy(store: Path) -> None:
    depths = set()
    async with serving(store, threads=2, milliseconds=1) as services:
        explaining = asyncio.create_task(explained(services.classify, grey(10)))
        while not explaining.done():
            depths.add(depth(services.devices.cpu))
            await asyncio.sleep(0)
    assert max(depths) <= 2


async def test_a_device_gets_them_in_batches(store: Path, engine: Engine) -> None:
    async with serving(store, max_useful_batch=16, device="gpu", milliseconds=5) as services:
        engine.forget()
        answer = await explained(services.classify, grey(10))
    assert answer.explanation is not None
    assert sum(map(len, engine.calls)) == 1 + QUESTIONS
    assert len(engine.calls) <= 10


@pytest.mark.parametrize("queue_size", [1, 8, 32])
async def test_a_small_queue_has_room_for_them_and_for_others(store: Path, queue_size: int) -> None:
    traits: dict[str, Any] = {"max_useful_batch": 16, "device": "gpu", "milliseconds": 1}
    depths = set()
    async with serving(store, queue_size=queue_size, **traits) as services:
        explaining = asyncio.create_task(explained(services.classify, grey(10)))
        while not explaining.done():
            depths.add(depth(services.devices.of("gpu")))
            await asyncio.sleep(0)
        assert (await explaining).explanation is not None
    assert max(depths) <= max(1, queue_size // 4)


async def test_who_gets_no_turn_costs_nothing(store: Path, engine: Engine) -> None:
    async with serving(store) as services:
        engine.forget()
        async with services.classify.turns.take(FAR):
            with pytest.raises(DeadlineExceededError):
                await explained(services.classify, grey(10), time.monotonic() + 0.05)
            services.classify.turns.seconds = 60
            with pytest.raises(OverloadedError):
                await explained(services.classify, grey(10), time.monotonic() + 20)
    assert engine.calls == []


async def test_the_wait_for_a_turn_is_of_the_whole_and_of_no_step(store: Path) -> None:
    async with serving(store) as services:
        async with services.classify.turns.take(FAR):
            explaining = asyncio.create_task(explained(services.classify, grey(10)))
            await soon(lambda: services.classify.turns.here == 2)
            began = time.monotonic()
            await soon(lambda: time.monotonic() > began + 1)
        timing = (await explaining).timing
    assert timing.total > 1000 + timing.queue


async def test_one_who_leaves_takes_all_that_is_left_with_him(store: Path, engine: Engine) -> None:
    async with serving(store, threads=2, milliseconds=5) as services:
        engine.forget()
        explaining = asyncio.create_task(explained(services.classify, grey(10)))
        await soon(lambda: len(engine.calls) > 3)
        explaining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await explaining
        assert depth(services.devices.cpu) == 0
        asked = len(engine.calls)
        engine.forget()
        await explained(services.classify, grey(20))  # the turn has not gone with him
    assert asked < 20
    assert sum(brightness != 20 for (brightness,) in engine.calls) <= 2


async def test_a_deadline_that_passes_meanwhile_ends_it(store: Path, engine: Engine) -> None:
    async with serving(store, milliseconds=20) as services:
        engine.forget()
        deadline = time.monotonic() + 1
        explaining = asyncio.create_task(explained(services.classify, grey(10), deadline))
        await soon(lambda: len(engine.calls) > 2 or explaining.done())
        engine.open.clear()
        await soon(lambda: time.monotonic() > deadline)
        engine.open.set()
        with pytest.raises(DeadlineExceededError):
            await explaining
        assert depth(services.devices.cpu) == 0


async def test_a_question_that_fails_ends_it(store: Path, engine: Engine) -> None:
    async with serving(store, threads=2) as services:
        await services.classify.classify(grey(10), deadline=FAR)
        engine.forget()
        engine.failures[10] = InvalidImageError("broken")
        with pytest.raises(InvalidImageError):
            await explained(services.classify, grey(10))
        assert depth(services.devices.cpu) == 0
    assert len(engine.calls) < QUESTIONS


def half(left: int, right: int) -> bytes:
    """A photo whose halves have a brightness each."""
    image = Image.new("L", (32, 32), right)
    image.paste(left, (0, 0, 16, 32))
    return encode(image)


async def test_a_graph_that_gives_its_feature_map_is_asked_once(
    store: Path, engine: Engine
) -> None:
    async with serving(store, head=np.eye(16, dtype=np.float32)) as services:
        engine.forget()
        answer = await explained(services.classify, half(100, 110))
    explanation = answer.explanation
    assert explanation is not None
    assert answer.top.label == "step-6"
    assert (explanation.method, explanation.label) == ("class-activation", "step-6")
    # Both halves are of the sixth step, and so is what the class was seen in.
    assert explanation.values == ((1.0,) * 8,) * 8
    assert len(engine.calls) == 1


async def test_the_class_is_seen_where_it_is(store: Path) -> None:
    async with serving(store, head=np.eye(16, dtype=np.float32)) as services:
        answer = await explained(services.classify, half(122, 131))
    explanation = answer.explanation
    assert explanation is not None
    assert explanation.label == "step-7"
    assert all(row[:3] == (1.0,) * 3 and row[5:] == (0.0,) * 3 for row in explanation.values)


async def test_one_question_waits_for_no_turn(store: Path) -> None:
    async with serving(store, head=np.eye(16, dtype=np.float32)) as services:
        assert not (await services.models.get(None)).explainer.takes_long
    async with serving(store, name="other") as services:
        assert (await services.models.get(None)).explainer.takes_long


class _Heard:
    """Hears of answers, as a plug-in and as who keeps records."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.recorded: list[Prediction] = []

    def on_prediction_complete(self, event: CompletedPrediction) -> None:
        self.predictions.append(event.prediction)

    def record(self, answered: Answered) -> None:
        self.recorded.append(answered.prediction)


async def test_of_one_heat_map_one_prediction_is_told(store: Path, tmp_path: Path) -> None:
    heard, metrics = _Heard(), Metrics(Place(tmp_path / "metrics", 0))
    async with serving(store) as services:
        service = ClassifyService(
            services.models,
            services.devices,
            services.settings,
            Callbacks([("heard", heard)]),
            recorder=heard,
            metrics=metrics,
        )
        answer = await explained(service, grey(10))
        await service.close()
    for told in (heard.predictions, heard.recorded):
        assert [(one.id, one.explanation) for one in told] == [(answer.id, None)]
    counted = [line for line in metrics.render().decode().splitlines() if "_total{" in line]
    assert [line.split()[-1] for line in counted if "predictions" in line] == ["1"]
