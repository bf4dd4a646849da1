"""Results with feedback and images, to be exported."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.datasets.sets import blobs as picture
from tests.results.making import NOW, a_result
from tests.support import encode

from viewfinder.blobs.store import FolderBlobs
from viewfinder.results.export import Exported, export_reviewed
from viewfinder.results.images import image_key
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.storage.results.table import Results
from viewfinder.storage.results.wanted import Wanted
from viewfinder.storage.schema import open_database, upgrade

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


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
        result = a_result(
            number,
            moment,
            model=model,
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
