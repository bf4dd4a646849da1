"""Answers are recorded off their way: in batches, bounded, and whatever the database does."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.postgres import PostgresServer, running_postgres
from tests.results.answers import answered, recording, rows
from tests.support import soon

from viewfinder.errors import DatabaseError
from viewfinder.results import recorder as module
from viewfinder.results.recorder import ResultRecorder
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.shared.ids import moment_of
from viewfinder.storage import link as link_module
from viewfinder.storage.database import Database
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.schema import open_database, upgrade


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once what has failed."""
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(link_module, "_PAUSE_S", 0.0)


async def test_an_answer_is_kept_with_all_that_is_known_of_it(
    settings: Settings, database: Database
) -> None:
    one = answered(b"a photo", classes=12, owner="key:1", job="a-job")
    async with recording(settings) as recorder:
        recorder.record(one)
        await recorder.flush()
    (row,) = await rows(database)
    classes = row["classes"]
    assert classes == [[c.label, c.index, c.confidence] for c in one.prediction.classes[:10]]
    assert row["timing"] == {"decode": 1.0, "queue": 2.0, "infer": 3.0, "total": 6.5}
    assert row["created"] == moment_of(one.prediction.id)
    kept = {name: row[name] for name in ("id", "model", "version", "variant", "label", "job")}
    assert kept == {
        "id": one.prediction.id,
        "model": "fake",
        "version": 1,
        "variant": "only",
        "label": "step-0",
        "job": "a-job",
    }
    assert (row["confidence"], row["abstained"], row["cached"]) == (0.5, False, False)
    assert (row["owner"], row["image_sha256"], row["image_bytes"]) == ("key:1", one.sha256, 7)
    assert row["stored_bytes"] is None


async def test_many_answers_share_a_transaction(settings: Settings, database: Database) -> None:
    async with recording(settings, gather_s=60) as recorder:
        opened = await recorder._link.open()
        begun = list[Any]()
        event.listen(opened._engine.sync_engine, "commit", begun.append)
        for _ in range(1200):
            recorder.record(answered())
        await recorder.flush()
        assert len(begun) == 3
        assert (recorder.written, recorder.waiting, recorder.losses.count) == (1200, 0, 0)
    assert len(await rows(database)) == 1200


async def test_what_does_not_fit_is_counted_and_said(settings: Settings) -> None:
    now = 0.0
    recorder = ResultRecorder(DatabaseLink(settings), buffer=3, clock=lambda: now)
    for _ in range(3):
        recorder.record(answered())
    assert recorder.state == "ready"
    for _ in range(2):
        recorder.record(answered())
    assert (recorder.waiting, recorder.losses.count) == (3, 2)
    assert recorder.state == "results were lost just now; 3 results wait, 2 are lost"
    now = 61.0
    assert recorder.state == "ready"


async def test_what_waits_at_the_end_is_written(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.results.recorder._CLOSE_S", 60)
    async with recording(settings, gather_s=60) as recorder:
        for _ in range(700):
            recorder.record(answered())
    assert len(await rows(database)) == 700
    recorder.record(answered())
    assert (recorder.waiting, recorder.losses.count) == (0, 1)


async def test_nothing_is_opened_before_there_is_something_to_write(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    recorder = ResultRecorder(DatabaseLink(settings), buffer=3)
    recorder.start()
    await asyncio.sleep(0)
    await recorder.close()
    assert _names(tmp_path) == []


async def test_an_answer_that_is_there_already_stays_and_others_come_beside_it(
    settings: Settings, database: Database
) -> None:
    first, second = answered(), answered()
    async with recording(settings) as recorder:
        recorder.record(first)
        await recorder.flush()
        recorder.record(answered(b"another", identifier=first.prediction.id))
        recorder.record(second)
        await recorder.flush()
        assert (recorder.written, recorder.losses.count) == (3, 0)
    kept = await rows(database)
    assert [row["image_sha256"] for row in kept] == [first.sha256, second.sha256]


@pytest.mark.parametrize("broken", [{"confidence": float("nan")}, {"owner": "\ud800"}])
async def test_a_row_that_cannot_be_written_does_not_hold_up_the_others(
    settings: Settings, database: Database, broken: dict[str, Any]
) -> None:
    good = [answered() for _ in range(6)]
    async with recording(settings, gather_s=60) as recorder:
        for one in (*good[:3], answered(**broken), *good[3:]):
            recorder.record(one)
        await recorder.flush()
        assert (recorder.written, recorder.losses.count, recorder.failures) == (6, 1, 0)
        assert recorder.state == "results were lost just now; 0 results wait, 1 are lost"
    assert [row["id"] for row in await rows(database)] == [one.prediction.id for one in good]


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_goes_away_costs_only_what_does_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_postgres() as server:
        url = server.new_database()
        settings = Settings(home=tmp_path, database=DatabaseSettings(url=url))
        await asyncio.to_thread(upgrade, settings)
        await asyncio.to_thread(server.stop)
        with caplog.at_level(logging.INFO):
            async with recording(settings, prepared=False, buffer=50) as recorder:
                for _ in range(30):  # away at the start
                    recorder.record(answered())
                await soon(lambda: recorder.failures >= 3)
                assert recorder.state == (
                    "the database cannot be used; 30 results wait, 0 are lost"
                )
                await asyncio.to_thread(server.start)
                await soon(lambda: recorder.written == 30)
                assert recorder.state == "ready"
                await asyncio.to_thread(server.stop)  # and in the middle
                for _ in range(60):
                    recorder.record(answered())
                before = recorder.failures
                await soon(lambda: recorder.failures >= before + 3)
                assert recorder.state == (
                    "the database cannot be used; 50 results wait, 10 are lost"
                )
                await asyncio.to_thread(server.start)
                await soon(lambda: recorder.written == 80)
                assert recorder.waiting == 0
        database = await open_database(settings)
        assert len(await rows(database)) == 80
        await database.close()
    said = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    assert len([line for line in said if "cannot be used" in line]) == 1  # in this minute
    assert [line for line in said if line.startswith("results can be written again")]


async def test_at_the_end_a_database_that_is_away_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        home=tmp_path, database=DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/none")
    )
    async with asyncio.timeout(20):
        async with recording(settings, prepared=False) as recorder:
            recorder.record(answered())
    assert (recorder.failures, recorder.losses.count) == (1, 1)
    assert "1 results could not be written before the end" in caplog.text


async def test_at_the_end_a_database_that_hangs_is_waited_for_a_little(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.2)
    url = postgres.new_database()
    settings = Settings(home=tmp_path, database=DatabaseSettings(url=url))
    async with recording(settings, gather_s=60) as recorder:
        recorder.record(answered())
        await recorder.flush()
        database = await recorder._link.open()
        async with database.writing() as connection:
            await connection.execute(text("LOCK TABLE results IN ACCESS EXCLUSIVE MODE"))
            recorder.record(answered())
            await recorder.close()
    assert (recorder.written, recorder.losses.count) == (1, 1)


@pytest.mark.usefixtures("impatient")
async def test_a_full_disk_keeps_answers_waiting_until_there_is_room(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    async with recording(settings) as recorder:
        database = await recorder._link.open()
        async with database.reading() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()

        def limit(most: int) -> None:
            event.listen(
                database._engine.sync_engine,
                "begin",
                lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={most}"),
            )

        limit(pages + 10)
        for _ in range(500):
            recorder.record(answered())
        await soon(lambda: recorder.failures >= 2)
        assert recorder.state.startswith("the database cannot be used; 500 results wait")
        limit(1_000_000)
        await soon(lambda: recorder.written == 500)
        assert recorder.state == "ready"


class _Odd(DatabaseLink):
    """Fails at first, in a way that nobody has thought of."""

    fails = True

    async def open(self) -> Database:
        if self.fails:
            raise RuntimeError("odd")
        return await super().open()


@pytest.mark.usefixtures("impatient")
async def test_what_nobody_has_foreseen_does_not_end_the_writing(
    settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    link = _Odd(settings)
    recorder = ResultRecorder(link, buffer=10, gather_s=0.01)
    recorder.start()
    recorder.record(answered())
    await soon(lambda: recorder.failures >= 2)
    assert recorder.state == "the database cannot be used; 1 results wait, 0 are lost"
    link.fails = False
    await soon(lambda: recorder.written == 1)
    await recorder.close()
    await link.close()
    assert len(await rows(database)) == 1
    assert caplog.text.count("RuntimeError: odd") == 1  # in this minute


async def test_who_hears_of_an_earlier_failure_gets_one_of_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_PAUSE_S", 60.0)
    (tmp_path / "viewfinder.db").mkdir()
    link, lengths = DatabaseLink(Settings(home=tmp_path)), []
    for _ in range(4):
        with pytest.raises(DatabaseError) as told:
            await link.open()
        lengths.append(len(told.traceback))
    assert lengths[1:] == lengths[1:2] * 3


async def test_flushing_waits_for_no_database_that_is_away(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, database=DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/none")
    )
    async with asyncio.timeout(20), recording(settings, prepared=False) as recorder:
        recorder.record(answered())
        assert not await recorder.flush()
        assert recorder.waiting == 1


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
