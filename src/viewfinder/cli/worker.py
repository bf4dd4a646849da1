"""`viewfinder worker`: works on jobs, and serves nobody."""

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, print_json, say

if TYPE_CHECKING:
    from viewfinder.settings import Settings

logger = logging.getLogger(__name__)


def worker(
    *,
    threads: Annotated[
        int | None, typer.Option(help="Compute threads; default: one per core.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Work on jobs, without HTTP, until stopped.

    Servers accept the jobs: both need the same database, blobs and models. SIGTERM or Ctrl-C lets
    the images in work be done, and gives the job back.

    Example:  VIEWFINDER_DATABASE__URL=postgresql://user@host/name viewfinder worker
    """
    from viewfinder.settings import load_settings
    from viewfinder.telemetry.logs import configure_logging

    settings = load_settings(threads=threads, workers=1)
    jobs = settings.jobs.model_copy(update={"run": True})
    settings = settings.model_copy(update={"jobs": jobs})
    configure_logging(settings.log)
    asyncio.run(_work(settings, as_json=as_json))


async def _work(settings: "Settings", *, as_json: bool) -> None:
    from viewfinder.app import build_services, running
    from viewfinder.errors import DatabaseError
    from viewfinder.telemetry.logs import is_json

    tell = logger.info if is_json(settings.log, sys.stderr) else say
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    services = build_services(settings, lasting=True)
    try:
        await services.database.open()  # what is wrong with it is told at once
    except DatabaseError as error:
        if not error.may_pass:
            raise
        logger.warning("%s; it is waited for", error.detail)
    async with running(services, preload=False):
        if as_json:
            print_json({"threads": settings.compute_threads})
            sys.stdout.flush()
        tell(f"Working on jobs with {settings.compute_threads} threads  (stop: Ctrl-C)")
        await stop.wait()
        tell("stopping: what is in work is done first")
