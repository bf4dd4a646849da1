"""`viewfinder serve`."""

import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from viewfinder.cli.console import Json, fail, prepare, print_json, say, this_command

if TYPE_CHECKING:
    from fastapi import FastAPI

    from viewfinder.settings import Settings
    from viewfinder.telemetry.cells import Place

logger = logging.getLogger(__name__)


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Compute threads in each process; default: one per core.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to load at start; may be repeated. The first answers when none is named."
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve a public address without asking for a key.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve the models over HTTP.

    Example:  viewfinder serve --port 8080 --model efficientnet-lite0
    """
    # Before the server runs there is nothing to put away, and an exception could come up anywhere.
    # When it has drained, it raises the signal that stopped it once more: a job well done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    from viewfinder.server.listener import listen, url_of
    from viewfinder.server.run import run
    from viewfinder.settings import load_settings
    from viewfinder.telemetry.logs import configure_logging
    from viewfinder.telemetry.tracing import collector

    settings = load_settings(
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        models=tuple(model or ()) or None,
        default_model=model[0] if model else None,
    )
    _check_storage(settings)
    settings = _decide_on_keys(settings, insecure=insecure)
    _check_models(settings)
    _check_shared(settings)
    collector(settings.tracing)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    address = url_of(settings.host, listener)
    if as_json:
        print_json({"url": address, "workers": settings.workers})
        sys.stdout.flush()
    configure_logging(settings.log)
    _greet(settings, address, port)
    if not run(partial(_application, settings), settings, listener):
        fail("the server could not start")


def _greet(settings: "Settings", address: str, port: int) -> None:
    """Say where the server is, and how to ask it; a log for machines has a line like any other."""
    from viewfinder.server.listener import in_url
    from viewfinder.telemetry.logs import is_json

    if is_json(settings.log, sys.stderr):
        logger.info("Viewfinder on %s", address, extra={"workers": settings.workers})
        return
    here = f"http://{in_url(_of_this_machine(settings.host))}:{port}"
    key = '-H "X-API-Key: $KEY" ' if settings.auth.enabled else ""
    say(
        f"Viewfinder on {address}  (documentation: {here}/docs, stop: Ctrl-C)\n"
        f"  curl {key}-F file=@photo.jpg {here}/v1/classify"
    )


def _of_this_machine(host: str) -> str:
    """An address to ask from here: one that means all addresses is none."""
    from ipaddress import ip_address

    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "::1" if ":" in host else "127.0.0.1"


def _decide_on_keys(settings: "Settings", *, insecure: bool) -> "Settings":
    """Settings that say whether a key is asked for; stop where nobody could get in, or anybody."""
    from viewfinder.access.asking import asks_for_key
    from viewfinder.net.addresses import is_loopback

    public = not is_loopback(settings.host)
    open_to_all = insecure and settings.auth.enabled is None
    asked = asks_for_key(settings) and not open_to_all
    if public and not asked and not insecure:
        fail(
            f"{settings.host} can be reached by others, and auth.enabled is false: anybody could "
            "use it. Ask for keys, or put a gateway in front and say --insecure."
        )
    if asked and not _look_at_keys(settings):
        if public:
            _fail_without_keys(settings)
        say(f"There is no key yet: make one with `{this_command()} keys create NAME`.")
    auth = settings.auth.model_copy(update={"enabled": asked})
    return settings.model_copy(update={"auth": auth})


def _fail_without_keys(settings: "Settings") -> NoReturn:
    ways = [
        f"  a key:          export KEY=$({this_command()} keys create robot)",
        "  your provider:  auth.oidc.issuer and auth.oidc.audience, see docs/security.md",
    ]
    if settings.auth.enabled is None:
        ways.append("  neither:        --insecure, and anybody who reaches it may use it")
    fail(
        f"{settings.host} can be reached by others, so it asks for keys, and there is none yet: "
        "choose one of these, or serve 127.0.0.1",
        *ways,
    )


def _look_at_keys(settings: "Settings") -> bool:
    """Whether somebody can get in, or may be able to once the database can be looked at.

    Stop before the start when it never can be as it is.
    """
    import asyncio

    from viewfinder.access.access import open_access
    from viewfinder.errors import DatabaseError

    async def look() -> bool:
        access = open_access(settings)
        try:
            await access.look()
        except DatabaseError as error:
            if not error.may_pass:
                raise
            return True  # the server says so when it looks itself
        finally:
            await access.close()
        auth = settings.auth
        return bool(access.keys or auth.bootstrap_key_file or auth.oidc.issuer)

    return asyncio.run(look())


def _check_storage(settings: "Settings") -> None:
    """Stop before the start when a database, or blobs, are asked for in a way that makes no sense.

    That they are away is no reason not to start.
    """
    from viewfinder.blobs.store import open_blobs
    from viewfinder.shared.paths import trouble_with

    open_blobs(settings)
    if settings.database.url is None:  # it is SQLite, and need not be there yet
        if trouble := trouble_with(settings.home):
            say(
                f"viewfinder: nothing can be kept in {settings.home}: {trouble}. Photos are "
                "answered all the same; VIEWFINDER_HOME names another folder."
            )
    else:
        from viewfinder.storage.database import connect, database_url

        connect(database_url(settings))  # connects to nothing yet


def _check_models(settings: "Settings") -> None:
    """Stop before the start when a model is asked for that is not there.

    Where the store cannot be looked at, nobody knows: readiness says so until it can.
    """
    from viewfinder.errors import NotReadyError
    from viewfinder.registry.store import look_without, open_store

    catalog, _ = look_without(open_store(settings.store, settings.home))
    for name in filter(None, (settings.default_model, *settings.models)):
        # A broken model is no reason not to start: the others can answer, and readiness says it.
        with suppress(NotReadyError):
            catalog.resolve(name)


def _check_shared(settings: "Settings") -> None:
    """Stop before the start when a Redis cannot be used as it is asked for."""
    from viewfinder.idempotency.opening import open_answers
    from viewfinder.quota.opening import open_counter
    from viewfinder.serving.cache.opening import open_cache

    # These connect to nothing yet.
    open_cache(settings.cache)
    open_counter(settings)
    open_answers(settings)
    if settings.workers > 1 and settings.rate_limit.enabled and settings.redis_url is None:
        say(
            f"Each of the {settings.workers} workers counts requests for itself; "
            "with the setting redis_url they count together."
        )


def _application(settings: "Settings", place: "Place | None" = None) -> "FastAPI":
    from viewfinder.app import create_app
    from viewfinder.telemetry.logs import configure_logging

    prepare()  # each worker is a process of its own
    configure_logging(settings.log)
    return create_app(settings, place=place)
