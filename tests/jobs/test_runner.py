"""Jobs are worked on, handed on and taken over, on both databases."""

import asyncio
import contextlib
import gc
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.making import a_job, added, after
from tests.jobs.working import (
    callbacks_of,
    inputs_of,
    items_of,
    over,
    sent,
    store_of,
    to_work,
    wake,
    when,
    working,
)
from tests.postgres import running_postgres
from tests.support import Engine, fake_bundle, grey, soon

from viewfinder.api.schemas.classify import Classification
from viewfinder.api.services import Services
from viewfinder.blobs.store import FolderBlobs, open_blobs
from viewfinder.errors import JobNotFoundError
from viewfinder.jobs import working as working_module
from viewfinder.jobs.images import ImageWork
from viewfinder.settings import DatabaseSettings, FetchSettings, JobSettings, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.schema import open_database, upgrade

LONG = JobSettings(lease_s=3600)


class Gate:
    """Holds the images of a job from a position on, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.position = 1_000_000
        self.open = asyncio.Event()
        self._really = ImageWork.answer

        async def answer(work: ImageWork, job: Job, item: JobItem, data: bytes | None) -> JobItem:
            if item.position >= self.position:
                await self.open.wait()
            return await self._really(work, job, item, data)

        monkeypatch.setattr(ImageWork, "answer", answer)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def test_every_image_is_answered_or_says_what_is_wrong(
    database: Database, settings: Settings
) -> None:
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    photos = [grey(8), b"no image", grey(40), grey(250)]
    job = await sent(database, settings, photos=photos)
    (settings.home / "blobs" / input_key(job.id, 2)).unlink()
    async with working(settings):
        done = await over(database, job)
        items = await items_of(database, job)
        await soon(lambda: not inputs_of(settings, job))
    assert (done.state, done.succeeded, done.failed) == ("succeeded", 2, 2)
    assert done.error_code is None
    assert [item.position for item in items] == [0, 1, 2, 3]
    answers = [item.answer and item.answer["class"] for item in items]
    assert answers == ["step-0", None, None, "step-15"]
    assert [item.error and item.error["code"] for item in items] == [
        None,
        "unsupported_media_type",
        "internal_error",
        None,
    ]
    fields = Classification.model_fields.items()
    shown = {field.serialization_alias or name for name, field in fields}
    assert items[0].answer is not None
    assert set(items[0].answer) == shown - {"explanation"}  # jobs make none
    assert items[0].answer["id"] == items[0].result
    assert items[0].answer["model"] == {"name": "fake", "version": 1, "variant": "only"}
    assert len(items[0].answer["classes"]) == job.top_k
    assert await callbacks_of(database) == [job.id]


async def test_a_job_of_no_images_is_done_at_once(database: Database, settings: Settings) -> None:
    job = await added(database, a_job(0))
    async with working(to_work(settings)):
        assert (await over(database, job)).state == "succeeded"


class _Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_there = self.path == "/there.png"
        self.send_response(200 if is_there else 404)
        self.end_headers()
        self.wfile.write(grey(8) if is_there else b"")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _photo_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Photos) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


async def test_images_by_url_are_fetched_where_that_is_allowed(
    database: Database, settings: Settings
) -> None:
    fake_bundle(store_of(settings))
    with _photo_server() as port:
        urls = [f"http://127.0.0.1:{port}/{name}.png" for name in ("there", "away")]
        items = [JobItem(number, url, url=url) for number, url in enumerate(urls)]
        codes = []
        for fetch in (
            FetchSettings(enabled=True, allow_private=True, ports=(port,)),
            FetchSettings(enabled=True),
            FetchSettings(),
        ):
            job = await sent(database, settings, items=items)
            async with working(to_work(settings, fetch=fetch)):
                await over(database, job)
            codes += [item.error and item.error["code"] for item in await items_of(database, job)]
    assert codes[:2] == [None, "fetch_failed"]
    assert set(codes[2:4]) <= {"blocked_address", "invalid_parameter"}
    assert codes[4:] == ["url_fetch_disabled"] * 2


def _are_gone(settings: Settings, job: Job) -> bool:
    return not inputs_of(settings, job)


async def test_a_job_whose_model_is_gone_fails_and_says_so(
    database: Database, settings: Settings
) -> None:
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    nobody = await sent(database, settings, 2, model="deleted")
    no_version = await sent(database, settings, 2, version=9)
    async with working(settings):
        for job, code in ((nobody, "model_not_found"), (no_version, "version_not_found")):
            failed = await over(database, job)
            assert (failed.state, failed.error_code) == ("failed", code)
            assert failed.error_detail
            assert (failed.done, failed.waiting) == (0, 2)
            await soon(partial(_are_gone, settings, job))
    assert sorted(await callbacks_of(database)) == sorted([nobody.id, no_version.id])


async def test_a_model_that_only_others_have_seen_is_looked_for(
    database: Database, settings: Settings
) -> None:
    settings = to_work(settings, store_poll_s=3600)
    async with working(settings) as services:
        fake_bundle(store_of(settings), "new")
        job = await sent(database, settings, 2, model="new")
        wake(services)
        assert (await over(database, job)).state == "succeeded"


async def test_a_model_that_is_deleted_meanwhile_ends_the_job_with_what_is_done(
    database: Database, settings: Settings, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    settings = to_work(settings)
    bundle = fake_bundle(store_of(settings))
    job = await sent(database, settings, 100)
    gate.position = 5
    async with working(settings) as services:
        await when(database, job, lambda now: now.done == 5)
        (bundle.folder / "bundle.json").unlink()
        await services.models.reload()
        gate.open.set()
        failed = await over(database, job)
    assert failed.state == "failed"
    assert failed.error_code in {"model_not_found", "version_not_found"}
    assert failed.done == 5
    assert len(await items_of(database, job)) == 5
    gc.collect()  # of those in the window, too, nobody goes on unheard
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_cancelled_job_stops_and_its_images_are_deleted(
    database: Database, settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_module, "_SLICE_S", 3600.0)  # its turn does not end by itself
    settings = to_work(settings, jobs=LONG)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 200)
    gate.position = 5
    async with working(settings) as services:
        await when(database, job, lambda now: now.done == 5)
        next_one = await sent(database, settings, 1)
        cancelled = await Jobs(database).cancel(job.id, after(1))
        wake(services)
        assert (await over(database, next_one)).state == "succeeded"
        await soon(lambda: not inputs_of(settings, job))
    assert await Jobs(database).get(job.id) == cancelled
    assert len(await items_of(database, job)) == cancelled.done
    assert await callbacks_of(database) == [next_one.id]


async def _die(services: Services) -> None:
    """End the work on jobs as a crash would: nothing is put away."""
    assert services.jobs is not None
    for task in services.jobs._tasks:
        task.cancel()
    await asyncio.gather(*services.jobs._tasks, return_exceptions=True)


async def test_another_goes_on_from_the_last_record_when_a_worker_dies(
    database: Database, settings: Settings, engine: Engine, gate: Gate
) -> None:
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, photos=[grey(number) for number in range(100)])
    gate.position = 70
    async with working(settings) as services:
        await when(database, job, lambda now: now.done == 70)
        await _die(services)
    before = await items_of(database, job)
    gate.open.set()
    engine.forget()
    async with working(settings):
        done = await over(database, job)
    assert (done.state, done.succeeded, done.failed) == ("succeeded", 100, 0)
    assert (await items_of(database, job))[:70] == before
    again = {brightness for call in engine.calls for brightness in call}
    assert again - {0, 255} == set(range(70, 100))  # the warm-up has its own
    assert await callbacks_of(database) == [job.id]


async def test_who_is_told_to_stop_records_what_is_done_and_gives_the_job_back(
    database: Database, settings: Settings, gate: Gate
) -> None:
    settings = to_work(settings, jobs=LONG)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 300)
    gate.position = 20
    async with working(settings):
        await when(database, job, lambda now: now.done == 20)
        asyncio.get_running_loop().call_later(0.05, gate.open.set)  # while it stops
    given_back = await Jobs(database).get(job.id)
    assert given_back.state == "running"
    assert 20 < given_back.done < 300
    async with working(settings):  # which would wait for an hour otherwise
        assert (await over(database, job)).succeeded == 300


async def test_a_large_job_does_not_keep_a_small_one_waiting(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_module, "_SLICE_S", 0.0)
    settings = to_work(settings, jobs=LONG)
    fake_bundle(store_of(settings), milliseconds=5)
    large = await sent(database, settings, 300)
    small = await sent(database, settings, 2)
    async with working(settings):
        assert (await over(database, small)).succeeded == 2
        between = await Jobs(database).get(large.id)
        assert 0 < between.done < 300
        assert (await over(database, large)).succeeded == 300
    assert len({item.result for item in await items_of(database, large)}) == 300


async def test_a_slow_image_is_begun_once_though_others_wait_for_their_turn(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working_module, "_SLICE_S", 0.0)
    begun, there, renewals = list[str](), asyncio.Event(), list[bool]()
    really, renew = ImageWork.answer, JobQueue.renew

    async def answer(work: ImageWork, job: Job, item: JobItem, data: bytes | None) -> JobItem:
        begun.append(job.id)
        if job.id == slow.id:
            await there.wait()
        return await really(work, job, item, data)

    async def count(queue: JobQueue, *given: Any) -> bool:
        renewals.append(await renew(queue, *given))
        return renewals[-1]

    monkeypatch.setattr(ImageWork, "answer", answer)
    monkeypatch.setattr(JobQueue, "renew", count)
    settings = to_work(settings, fetch=FetchSettings(enabled=True, timeout_s=300))
    fake_bundle(store_of(settings))
    slow, other = await sent(database, settings, 1), await sent(database, settings, 1)
    async with working(settings):
        await soon(lambda: len(renewals) > 2)  # at each, the other has been waiting
        there.set()
        for job in (slow, other):
            assert (await over(database, job)).succeeded == 1
    assert begun == [slow.id, other.id]


async def _died_of(database: Database, times: int) -> None:
    """So many processes have taken the only job, and were never heard of again."""
    for number in range(times):
        claim = await JobQueue(database).claim(after(1000 * (number - 100)), 60, f"{number}")
        assert claim is not None


async def test_an_image_that_nobody_survives_fails_alone(
    database: Database, settings: Settings
) -> None:
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 100)
    await _died_of(database, 4)
    async with working(settings):
        done = await over(database, job)
    assert (done.state, done.succeeded, done.failed) == ("succeeded", 99, 1)
    first, *others = await items_of(database, job)
    assert first.error is not None
    assert "ended several times" in first.error["detail"]
    assert not [item for item in others if item.error]


async def test_a_job_that_nobody_survives_fails(database: Database, settings: Settings) -> None:
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 3)
    await _died_of(database, 8)
    async with working(settings):
        done = await over(database, job)
    assert (done.state, done.error_code) == ("failed", "internal_error")
    assert await callbacks_of(database) == [job.id]


async def test_a_model_that_cannot_answer_now_is_waited_for(
    database: Database, settings: Settings
) -> None:
    settings = to_work(settings, store_poll_s=0.1)
    bundle = fake_bundle(store_of(settings))
    graph = bundle.folder / "graph.json"
    whole = graph.read_bytes()
    graph.write_bytes(b"{}")
    job = await sent(database, settings, 3)
    async with working(settings) as services:
        await soon(lambda: services.models.status("fake", 1).state == "failed")
        graph.write_bytes(whole)
        await services.models.reload(afresh=True)
        assert (await over(database, job)).succeeded == 3


async def test_where_images_cannot_be_read_nothing_else_waits_for_a_thread(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, there = threading.Event(), threading.Event()
    really = FolderBlobs.get

    def hang(blobs: FolderBlobs, key: str) -> bytes:
        asked.set()
        there.wait()
        return really(blobs, key)

    monkeypatch.setattr(FolderBlobs, "get", hang)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 2)
    async with working(settings):
        try:
            await soon(asked.is_set)
            await asyncio.wait_for(asyncio.to_thread(there.set), 20)
            assert (await over(database, job)).succeeded == 2
        finally:
            there.set()


@pytest.mark.parametrize("near", [True, False])
async def test_every_image_is_read_once_and_one_that_is_lost_costs_no_other(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, near: bool
) -> None:
    read = Counter[str]()
    really = FolderBlobs.get

    def count(blobs: FolderBlobs, key: str) -> bytes:
        read[key] += 1
        return really(blobs, key)

    monkeypatch.setattr(FolderBlobs, "get", count)
    monkeypatch.setattr(FolderBlobs, "is_near", near)
    settings = to_work(settings)
    fake_bundle(store_of(settings))
    job = await sent(database, settings, 20)
    lost = input_key(job.id, 13)
    open_blobs(settings).delete([lost])
    async with working(settings):
        ended = await over(database, job)
    assert (ended.succeeded, ended.failed) == (19, 1)
    assert set(read) == {input_key(job.id, position) for position in range(20)}
    assert {key for key, times in read.items() if times > 1} <= {lost}


async def _until_it_is_gone(database: Database, job: Job) -> None:
    with pytest.raises(JobNotFoundError):
        await when(database, job, lambda _: False)


async def test_old_jobs_are_let_go_of(database: Database, settings: Settings) -> None:
    settings = to_work(settings, jobs=JobSettings(keep_days=1))
    old = await sent(database, settings, 1)
    await Jobs(database).cancel(old.id, after(-3 * 24 * 3600))
    young = await sent(database, settings, 1)
    async with working(settings):
        await _until_it_is_gone(database, old)
    assert await Jobs(database).get(young.id)
    assert not inputs_of(settings, old)


async def test_nobody_makes_a_database_to_look_for_jobs(tmp_path: Path) -> None:
    settings = to_work(Settings(home=tmp_path))
    async with working(settings) as services:
        assert services.jobs is not None
        await asyncio.wait(services.jobs._tasks, timeout=0.2)
        assert services.jobs.problem is None
    assert not list(settings.home.iterdir())


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_database_that_cannot_be_used_is_told(settings: Settings) -> None:
    (settings.home / "viewfinder.db").write_bytes(b"this is no database" * 100)
    async with working(to_work(settings)) as services:
        assert services.jobs is not None
        runner = services.jobs
        await soon(lambda: runner.problem is not None)


async def test_work_goes_on_when_the_database_has_been_away(
    tmp_path: Path, engine: Engine, gate: Gate
) -> None:
    gate.position = 100
    with running_postgres() as server:
        settings = to_work(
            Settings(home=tmp_path, database=DatabaseSettings(url=server.new_database())),
            jobs=JobSettings(lease_s=60),
        )
        await asyncio.to_thread(upgrade, settings)
        database = await open_database(settings)
        fake_bundle(store_of(settings))
        job = await sent(database, settings, photos=[grey(n % 200) for n in range(400)])
        async with working(settings) as services:
            await when(database, job, lambda now: now.done == 100)
            await asyncio.to_thread(server.stop)
            gate.open.set()
            runner = services.jobs
            assert runner is not None
            runner.wake()
            await soon(lambda: runner.problem is not None)
            # Far more than one chunk: it has been tried to record some of them.
            await soon(lambda: sum(len(call) for call in engine.calls) >= 240)
            await asyncio.to_thread(server.start)
            done = await over(database, job)
        assert (done.state, done.succeeded) == ("succeeded", 400)
        assert len({item.result for item in await items_of(database, job)}) == 400
        seen = sum(len(call) for call in engine.calls)
        assert seen <= 400 + 2  # nothing twice, but the warm-up is seen too
        await database.close()
