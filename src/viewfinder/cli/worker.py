"""`viewfinder worker`: works on jobs, and answers no photos."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, print_json, say

if TYPE_CHECKING:
    import socket

    from viewfinder.api.dependencies import Services
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
    from viewfinder.app.services import build_services
    from viewfinder.errors import DatabaseError
    from viewfinder.server.listener import url_of
    from viewfinder.telemetry.logs import is_json

    tell = logger.info if is_json(settings.log, sys.stderr) else say
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if listener is None:
        services = replace(build_services(settings, lasting=True), answering=False)
    else:
        services = _build_seen(settings)
    url = None if listener is None else url_of(settings.host, listener)
    try:
        await services.database.open()  # what is wrong with it is told at once
    except DatabaseError as error:
        if not error.may_pass:
            raise
        logger.warning("%s; it is waited for", error.detail)
    async with (
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


def _build_seen(settings: "Settings") -> "Services":
    """The parts of a worker, with what counts for those who look."""
    from viewfinder.api.sampling import Sampler
    from viewfinder.app.services import build_services
    from viewfinder.telemetry.metrics import Metrics
    from viewfinder.telemetry.tally import SharedTally

    metrics = Metrics() if settings.metrics.enabled else None
    tally = SharedTally(None) if metrics is not None and settings.drift.enabled else None
    services = build_services(settings, lasting=True, metrics=metrics, tally=tally)
    services = replace(services, answering=False)
    return services if metrics is None else replace(services, sampler=Sampler(services, metrics))


@asynccontextmanager
async def _shown(
    services: "Services", listener: "socket.socket | None"
) -> AsyncIterator[Callable[[], None]]:
    """Answer on the socket meanwhile, if there is one; yields what to call before the stop."""
    if listener is None:
        yield lambda: None
        return
    from viewfinder.api.status import create_status_app
    from viewfinder.app.running import guarding
    from viewfinder.server.beside import serving_beside

    async with guarding(services.settings) as access:
        application = create_status_app(replace(services, access=access))
        async with serving_beside(application, services.settings, listener) as say_stopping:
            yield say_stopping
