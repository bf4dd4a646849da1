"""Results go in time: by age, by number, and images by the room that they take."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.results.answers import answered, rows

from viewfinder.blobs.store import FolderBlobs
from viewfinder.results import retention as module
from viewfinder.results.images import image_key
from viewfinder.results.retention import Retention, Swept
from viewfinder.results.rows import to_result
from viewfinder.results.waiting import Waiting
from viewfinder.settings import ResultSettings, Settings
from viewfinder.shared.ids import first_id, moment_of
from viewfinder.storage.database import Database
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.results.retention import OldResults
from viewfinder.storage.results.rows import Result
from viewfinder.storage.results.table import Results

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MB = 1_000_000


def _result(age: timedelta, stored: int | None = None) -> Result:
    result = to_result(Waiting.of(answered(), with_image=False))
    identifier = f"{first_id(NOW - age)}-7000-8000-000000000000"
    return replace(result, id=identifier, created=moment_of(identifier), stored_bytes=stored)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


class Kept:
    """A few results with their images, and what lets them go."""

    def __init__(self, settings: Settings, database: Database, blobs: FolderBlobs) -> None:
        self._settings = settings
        self._database = database
        self.blobs = blobs

    async def put(self, *new: Result) -> None:
        await Results(self._database).add(new)
        for result in new:
            if result.stored_bytes is not None:
                self.blobs.put(image_key(result.id), b"image")

    async def sweep(self, **limits: Any) -> Swept:
        link = DatabaseLink(self._settings)
        retention = Retention(link, self.blobs, ResultSettings(**limits), clock=NOW.timestamp)
        try:
            return await retention.sweep()
        finally:
            await link.close()

    async def ids(self) -> list[str]:
        return [row["id"] for row in await rows(self._database)]

    async def stored(self) -> list[str]:
        return [row["id"] for row in await rows(self._database) if row["stored_bytes"] is not None]

    def images(self, among: Sequence[Result]) -> list[str]:
        found = []
        for result in among:
            try:
                self.blobs.get(image_key(result.id))
            except FileNotFoundError:
                continue
            found.append(result.id)
        return found


@pytest.fixture
def kept(settings: Settings, database: Database, blobs: FolderBlobs) -> Kept:
    return Kept(settings, database, blobs)


async def test_what_is_too_old_goes_with_its_image(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    old = [_result(DAY * (10 + n), stored=5) for n in range(5)]
    young = [_result(DAY * (10 - n) - timedelta(milliseconds=1), stored=5) for n in range(3)]
    await kept.put(*old[1:], *young)
    await kept.put(old[0])
    assert await kept.sweep(keep_days=10) == Swept(4)  # ten days old to the millisecond: stays
    assert await kept.ids() == sorted(result.id for result in [old[0], *young])
    assert set(kept.images([*old, *young])) == set(await kept.ids())
    assert await kept.sweep(keep_days=10) == Swept()


@pytest.mark.parametrize(("rows_kept", "gone"), [(1, 6), (4, 3), (7, 0), (8, 0)])
async def test_the_oldest_make_room(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, rows_kept: int, gone: int
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    every = [_result(timedelta(hours=n), stored=5) for n in range(7)]
    await kept.put(*every)
    assert await kept.sweep(keep_rows=rows_kept) == Swept(gone)
    left = sorted(result.id for result in every[:rows_kept])
    assert await kept.ids() == left
    assert sorted(kept.images(every)) == left


async def test_images_that_take_too_much_room_go_and_their_results_stay(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    every = [_result(timedelta(hours=n), stored=MB // 2) for n in range(7)]
    without = [_result(timedelta(minutes=30), None), _result(timedelta(hours=20), None)]
    await kept.put(*every, *without)
    assert await kept.sweep(keep_mb=2) == Swept(0, 3)
    left = sorted(result.id for result in every[:4])
    assert await kept.stored() == left
    assert sorted(kept.images(every)) == left
    assert len(await kept.ids()) == 9
    assert await kept.sweep(keep_mb=2) == Swept()


async def test_an_image_that_a_crash_left_unmentioned_goes_with_its_row(kept: Kept) -> None:
    crashed = _result(DAY * 20, None)
    await kept.put(crashed)
    kept.blobs.put(image_key(crashed.id), b"image")
    await kept.sweep(keep_days=10)
    assert kept.images([crashed]) == []


async def test_after_a_crash_in_the_middle_the_next_pass_goes_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [_result(DAY * 20, MB), _result(DAY * 5, MB), _result(DAY, MB)]
    await kept.put(*old)

    async def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OldResults, "erase", crash)
        with pytest.raises(KeyboardInterrupt):
            await kept.sweep(keep_days=10)
    assert kept.images(old) == [old[1].id, old[2].id]
    assert await kept.sweep(keep_days=10) == Swept(1)
    with monkeypatch.context() as patch:
        patch.setattr(OldResults, "forget_images", crash)
        with pytest.raises(KeyboardInterrupt):
            await kept.sweep(keep_mb=1)
    assert await kept.sweep(keep_mb=1) == Swept(0, 1)
    assert await kept.stored() == kept.images(old) == [old[2].id]


async def test_where_images_cannot_be_deleted_their_rows_stay(kept: Kept, tmp_path: Path) -> None:
    old = _result(DAY * 20, 5)
    await kept.put(old)
    (path,) = _files(tmp_path / "blobs")
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        await kept.sweep(keep_days=10)
    assert await kept.ids() == [old.id]
    path.rmdir()
    assert await kept.sweep(keep_days=10) == Swept(1)


async def test_no_database_is_made_to_let_go_of_nothing(
    tmp_path: Path, blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_S", 0.0)
    asked = asyncio.Event()

    class Link(DatabaseLink):
        async def wanted(self) -> None:
            asked.set()
            await super().wanted()

    link = Link(Settings(home=tmp_path))
    retention = Retention(link, blobs, ResultSettings())
    retention.start()
    await asked.wait()
    await retention.close()
    assert not (tmp_path / "viewfinder.db").exists()


def test_ids_are_in_the_order_of_time() -> None:
    moments = [NOW + timedelta(milliseconds=n) for n in (0, 1, 999, 86_400_000)]
    ids = [first_id(moment) for moment in moments]
    assert sorted(ids) == ids
    assert [moment_of(identifier) for identifier in ids] == moments
    assert first_id(datetime(1900, 1, 1, tzinfo=UTC)) == first_id(datetime(1970, 1, 1, tzinfo=UTC))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
