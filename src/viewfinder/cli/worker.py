"""`viewfinder worker`: works on jobs, and answers no photos."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, print_json, say

if TYPE_CHECKING:
    import socket

    from viewfinder.api.services import Services
    from viewfinder.settings import Settings

logger = logging.getLogger(__name__)


def worker(
    *,
    port: Annotated[
        int | None,
        typer.Option(help="Port for health and metrics, 0 for a free one; default: none."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Compute threads; default: one per core.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Work on jobs until stopped.

    Servers accept the jobs: both need the same database, blobs and models. SIGTERM or Ctrl-C lets
    the images in work be done, and gives the job back. With a port, GET /health/ready and
    GET /metrics are answered there.

    Example:  VIEWFINDER_DATABASE__URL=postgresql://user@host/name viewfinder worker --port 8001
    """
    from viewfinder.net.addresses import is_loopback
    from viewfinder.server.listener import listen
    from viewfinder.settings import load_settings
    from viewfinder.telemetry.logs import configure_logging

    given = None if port is None else {"port": port}
    settings = load_settings(threads=threads, workers=1, worker=given)
    jobs = settings.jobs.model_copy(update={"run": True})
    settings = settings.model_copy(update={"jobs": jobs})
    port = settings.worker.port
    if not is_loopback(settings.host) and settings.auth.enabled is False:
        # A server says `--insecure` for that; nobody has said it for a worker's metrics.
        auth = settings.auth.model_copy(update={"enabled": True})
        settings = settings.model_copy(update={"auth": auth})
    listener = None if port is None else listen(settings.host, port)
    configure_logging(settings.log)
    asyncio.run(_work(settings, listener, as_json=as_json))


async def _work(settings: "Settings", listener: "socket.socket | None", *, as_json: bool) -> None:
    from viewfinder.app.running import running
    from viewfinder.server.listener import url_of
    from viewfinder.telemetry.logs import is_json

    tell = logger.info if is_json(settings.log, sys.stderr) else say
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = None if listener is None else url_of(settings.host, listener)
    async with (
        _built(settings, is_seen=listener is not None) as services,
        _shown(services, listener) as say_stopping,
        running(services, preload=False),
    ):
        if as_json:
            at = {} if url is None else {"url": url}
            print_json({"threads": settings.compute_threads, **at})
            sys.stdout.flush()
        shown = "" if url is None else f"; health and metrics on {url}"
        tell(f"Working on jobs with {settings.compute_threads} threads{shown}  (stop: Ctrl-C)")
        await stop.wait()
        tell("stopping: what is in work is done first")
        say_stopping()


@asynccontextmanager
async def _built(settings: "Settings", *, is_seen: bool) -> AsyncIterator["Services"]:
    """The parts of a worker; with the keys, and what counts, where others look at it."""
    from viewfinder.api.sampling import Sampler
    from viewfinder.app.running import guarding
    from viewfinder.app.services import build_services
    from viewfinder.telemetry.metrics import Metrics
    from viewfinder.telemetry.tally import SharedTally

    metrics = Metrics() if is_seen and settings.metrics.enabled else None
    tally = SharedTally(None) if metrics is not None and settings.drift.enabled else None
    services = build_services(settings, lasting=True, metrics=metrics, tally=tally)
    await _look_at_database(services)
    async with guarding(settings) if is_seen else nullcontext() as access:
        services = replace(services, answering=False, access=access)
        if metrics is not None:  # it reads all the others
            services = replace(services, sampler=Sampler(services, metrics))
        yield services


async def _look_at_database(services: "Services") -> None:
    """Stop before the start when the database can never be used as it is."""
    from viewfinder.errors import DatabaseError

    try:
        await services.database.open()
    except DatabaseError as error:
        if not error.may_pass:
            raise
        logger.warning("%s; it is waited for", error.detail)


@asynccontextmanager
async def _shown(
    services: "Services", listener: "socket.socket | None"
) -> AsyncIterator[Callable[[], None]]:
    """Answer on the socket meanwhile, if there is one; yields what to call before the stop."""
    if listener is None:
        yield lambda: None
        return
    from viewfinder.app.status import create_status_app
    from viewfinder.server.beside import serving_beside

    application = create_status_app(services)
    async with serving_beside(application, services.settings, listener) as say_stopping:
        yield say_stopping
