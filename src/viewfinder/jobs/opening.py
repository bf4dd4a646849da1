"""Jobs in the database of a running process; SQLAlchemy comes with the first one who asks."""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, cast

from viewfinder.blobs.store import Blobs
from viewfinder.settings import Settings
from viewfinder.storage.link import DatabaseLink

if TYPE_CHECKING:
    from viewfinder.jobs.intake import Intake
    from viewfinder.storage.jobs import Jobs


async def open_jobs(database: DatabaseLink) -> "Jobs":
    """The table of jobs.

    Raises:
        DatabaseError: The database cannot be used.
        OperatorError: It is asked for in a way that makes no sense, or not installed.
    """
    opened = await database.open()
    return cast("Jobs", import_module("viewfinder.storage.jobs").Jobs(opened))


def open_intake(
    blobs: Blobs, settings: Settings, *, hashed: bool
) -> AbstractAsyncContextManager["Intake"]:
    """Take in a job; see `viewfinder.jobs.intake.taking_in`."""
    taking_in = import_module("viewfinder.jobs.intake").taking_in
    return cast("AbstractAsyncContextManager[Intake]", taking_in(blobs, settings, hashed=hashed))
