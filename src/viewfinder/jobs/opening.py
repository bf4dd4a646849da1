"""The way into the intake of jobs, which brings SQLAlchemy along: not before somebody asks."""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING, cast

from viewfinder.blobs.store import Blobs
from viewfinder.settings import Settings

if TYPE_CHECKING:
    from viewfinder.jobs.intake import Intake


def open_intake(
    blobs: Blobs, settings: Settings, *, hashed: bool
) -> AbstractAsyncContextManager["Intake"]:
    """Take in a job; see `viewfinder.jobs.intake.taking_in`."""
    taking_in = import_module("viewfinder.jobs.intake").taking_in
    return cast("AbstractAsyncContextManager[Intake]", taking_in(blobs, settings, hashed=hashed))
