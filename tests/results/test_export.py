"""Reviewed photos as a training folder, on both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.datasets.sets import blobs as picture
from tests.datasets.sets import write, write_set
from tests.support import encode

from viewfinder.blobs.store import FolderBlobs
from viewfinder.datasets.source import read_dataset
from viewfinder.errors import DatasetError
from viewfinder.results.export import Exported, export_reviewed
from viewfinder.results.images import image_key
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.shared.ids import first_id
from viewfinder.storage.results import Result, Results
from viewfinder.storage.schema import open_database, upgrade
from viewfinder.storage.wanted import Wanted
from viewfinder.types import ClassScore

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Reviewed:
    """Results with feedback, and their images."""

    def __init__(self, table: Results, folder: Path) -> None:
        self.table = table
        self.blobs = FolderBlobs(folder / "blobs")
        self.folder = folder / "photos"
        self.told: list[tuple[int, int]] = []

    async def add(
        self, number: int, label: str | None, *, image: bool = True, model: str = "fake"
    ) -> str:
        """One answer of day `number`, and what somebody says that it shows."""
        moment = NOW + timedelta(days=number)
        result = Result(
            id=f"{first_id(moment)}-7000-8000-{number:012x}",
            created=moment,
            model=model,
            version=1,
            variant="only",
            label="cat",
            confidence=0.5,
            classes=(ClassScore("cat", 0, 0.5),),
            abstained=False,
            cached=False,
            timing={},
            owner=None,
            job=None,
            image_sha256=f"{number:064x}",
            image_bytes=1,
            stored_bytes=1 if image else None,
            feedback=label,
            reviewed=None if label is None else NOW,
        )
        await self.table.add([result])
        if image:
            self.blobs.put(image_key(result.id), encode(picture(number), "JPEG"))
        return result.id

    async def export(self, wanted: Wanted | None = None) -> Exported:
        """Run it."""
        return await export_reviewed(
            self.table,
            self.blobs,
            self.folder,
            wanted or Wanted(),
            lambda *done: self.told.append(done),
        )

    def files(self) -> set[str]:
        """All there are."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found}


@pytest.fixture(params=["sqlite", "postgres"])
async def reviewed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reviewed]:
    """An empty table."""
    url = None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    settings = Settings(home=tmp_path, database=DatabaseSettings(url=url))
    upgrade(settings)
    database = await open_database(settings)
    yield Reviewed(Results(database), tmp_path)
    await database.close()


async def test_each_photo_lies_under_its_label_once(reviewed: Reviewed) -> None:
    cat, dog = await reviewed.add(1, "cat"), await reviewed.add(2, "Löwe und Bär")
    await reviewed.add(3, None)
    await reviewed.add(4, "cat", image=False)
    lost = await reviewed.add(5, "cat")
    reviewed.blobs.delete([image_key(lost)])
    expected = {f"cat/reviewed-{cat}.jpg", f"Löwe und Bär/reviewed-{dog}.jpg"}
    assert await reviewed.export() == Exported(written=2, without_image=2)
    assert reviewed.told[-1] == (4, 4)
    assert reviewed.files() == expected
    assert (reviewed.folder / f"cat/reviewed-{cat}.jpg").read_bytes()[:2] == b"\xff\xd8"
    again = await reviewed.add(6, "cat")
    assert await reviewed.export() == Exported(written=1, present=2, without_image=2)
    assert reviewed.files() == {*expected, f"cat/reviewed-{again}.jpg"}
    assert read_dataset(reviewed.folder).labels == ("Löwe und Bär", "cat")


async def test_photos_of_ones_own_are_left_alone(reviewed: Reviewed) -> None:
    write_set(reviewed.folder, {"cat": 2, "dog": 2})
    own = write(reviewed.folder / "dog" / "reviewed-by-me.jpg", b"mine")
    one = await reviewed.add(1, "cat")
    there = write(reviewed.folder / "cat" / f"reviewed-{one}.jpg", b"edited")
    before = reviewed.files()
    assert await reviewed.export() == Exported(present=1)
    assert reviewed.files() == before
    assert (own.read_bytes(), there.read_bytes()) == (b"mine", b"edited")


async def test_a_photo_whose_label_changes_goes_with_it(reviewed: Reviewed) -> None:
    one, other = await reviewed.add(1, "cat"), await reviewed.add(2, "dog")
    await reviewed.export()
    await reviewed.table.review(one, "dog", now=NOW)
    # Also where its image is stored no more.
    reviewed.blobs.delete([image_key(one)])
    assert await reviewed.export() == Exported(moved=1, present=1)
    assert reviewed.files() == {f"dog/reviewed-{one}.jpg", f"dog/reviewed-{other}.jpg"}
    assert not (reviewed.folder / "cat").exists()  # a class without photos would be refused
    # A copy that somebody has put back is one too many.
    write(reviewed.folder / "cat" / f"reviewed-{one}.jpg", b"old")
    write(reviewed.folder / "cat" / "own.jpg", b"mine")
    assert await reviewed.export() == Exported(present=2)
    assert reviewed.files() == {
        f"dog/reviewed-{one}.jpg", f"dog/reviewed-{other}.jpg", "cat/own.jpg",
    }  # fmt: skip


async def test_only_what_is_wanted_is_written(reviewed: Reviewed) -> None:
    await reviewed.add(1, "cat")
    late = await reviewed.add(3, "cat")
    await reviewed.add(4, "cat", model="other")
    assert await reviewed.export(Wanted(model="fake", since=NOW + timedelta(days=2))) == Exported(
        written=1
    )
    assert reviewed.files() == {f"cat/reviewed-{late}.jpg"}
    assert await reviewed.export(Wanted(model="fake", version=2)) == Exported()


async def test_a_label_that_came_by_another_way_leads_nowhere_else(reviewed: Reviewed) -> None:
    for number, label in enumerate(("../out", "/out", "..", "", ".hidden", "a/..")):
        await reviewed.add(number, label)
    assert await reviewed.export() == Exported(unfit=6)
    assert not reviewed.folder.exists()


async def test_a_folder_of_splits_is_told_apart(reviewed: Reviewed) -> None:
    write_set(reviewed.folder / "train", {"cat": 1})
    await reviewed.add(1, "cat")
    with pytest.raises(DatasetError, match=r"export into .*train"):
        await reviewed.export()
    reviewed.folder = reviewed.folder / "train"
    assert await reviewed.export() == Exported(written=1)
