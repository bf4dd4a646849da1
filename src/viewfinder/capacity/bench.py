"""Measures this machine from decoding to a server under load, or a server elsewhere."""

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from viewfinder.capacity.compute import measure_compute
from viewfinder.capacity.ladder import climb, measured_step
from viewfinder.capacity.load import JPEG, Load, Target
from viewfinder.capacity.measured import (
    Compute,
    Measured,
    Process,
    Served,
    wants_workers,
)
from viewfinder.capacity.photos import Photos, gather, golden_of
from viewfinder.capacity.progress import Tell
from viewfinder.capacity.server import Child, serving, to_be_measured
from viewfinder.engines.apart.probe import load_probed
from viewfinder.errors import DatasetError, MeasuringError, RemoteError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.store import default_model, look_at_start, open_store
from viewfinder.settings import Settings
from viewfinder.shared.machine import available_cores, machine
from viewfinder.shared.plain import printable

_PATH = "/v1/classify"
_SERVED = {"name", "version", "variant"}
_LEAST_CLIENTS = 32
# Enough for every core, and for those that wait meanwhile.
_CLIENTS_PER_CORE = 4
_MOST_THREADS = 256  # that one server can have
# Of a server elsewhere, whose cores nobody knows.
_MOST_CLIENTS = 256
_TIMEOUT_S = 120.0
_LONGEST_ANSWER = 1024 * 1024
# Of one that needs no server: it is steady after that.
_LONGEST_FIGURE_S = 2.0
_DIED = "the server died while it was measured"


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured.

    Attributes:
        settings: Of this machine.
        model: `name`, `name@3` or `name@alias`; None for the default.
        photos: The photos; None for those that came with the model.
        seconds: How long each figure takes.
        tell: Hears how it goes.
    """

    settings: Settings
    model: str | None
    photos: Photos | None
    seconds: float
    tell: Tell


async def measure_here(task: Task) -> Measured:
    """Measure this machine.

    Raises:
        ViewfinderError: The model is not there, or cannot be used; no photo can.
    """
    settings, cores = task.settings, min(_MOST_THREADS, available_cores())
    store = open_store(settings.store, settings.home)
    bundle = look_at_start(store).resolve(task.model or default_model(settings))
    photos = task.photos or golden_of(bundle, settings.limits)
    stop = threading.Event()
    try:
        compute, variant, largest = await asyncio.to_thread(
            _compute, task, bundle, photos, cores, stop
        )
    finally:
        stop.set()  # its threads would go on, and whoever pressed Ctrl-C would wait for them
    model = bundle.manifest.called
    most = max(_LEAST_CLIENTS, _CLIENTS_PER_CORE * max(cores, largest))

    async def serve(workers: int, clients: int | None) -> Served:
        with tempfile.TemporaryDirectory() as home:
            measured = to_be_measured(
                settings,
                store.folder,
                model,
                Path(home),
                workers=workers,
                threads=max(1, cores // workers),
            )
            async with serving(measured) as child:
                try:
                    served = await _serve(
                        task, photos, child, settings=measured, most=most, clients=clients
                    )
                except OSError as error:
                    raise _why(error, child) from error
                if child.is_alive():
                    return served
                raise MeasuringError(_DIED)

    served = await serve(1, None)
    if not any(step.answered for step in served.steps):
        raise MeasuringError("the server has answered no photo while it was measured")
    measured = Measured(
        model=model,
        variant=variant,
        pictures=photos.pictures,
        served=served,
        machine=machine(),
        cores=cores,
        device=settings.device,
        compute=compute,
    )
    workers = wants_workers(measured)
    if workers == 1:
        return measured
    return replace(measured, split=await serve(workers, served.best.clients))


def _why(error: OSError, child: Child) -> MeasuringError:
    """Why the clients could not go on: it may be this process that can open no more of them."""
    if isinstance(error, ConnectionError) or not child.is_alive():
        return MeasuringError(_DIED)
    if isinstance(error, TimeoutError):
        return MeasuringError("the server took no more connections while it was measured")
    return MeasuringError(f"the server could not be measured: {error.strerror or error}")


def _compute(
    task: Task, bundle: Bundle, photos: Photos, cores: int, stop: threading.Event
) -> tuple[Compute, str, int]:
    """What the model costs, which of its graphs that was, and how many images it takes at once."""
    settings = task.settings.model_copy(update={"workers": 1, "threads": cores})
    loaded = load_probed(bundle, settings)
    try:
        compute = measure_compute(
            loaded,
            photos.data,
            settings.limits,
            threads=cores,
            seconds=min(_LONGEST_FIGURE_S, task.seconds / 3),
            tell=task.tell,
            stop=stop,
        )
        return compute, loaded.variant.name, loaded.engine.traits.max_useful_batch
    finally:
        loaded.engine.close()


async def _serve(
    task: Task,
    photos: Photos,
    child: Child,
    *,
    settings: Settings,
    most: int,
    clients: int | None,
) -> Served:
    """Load a server of this machine: up to so many clients, or with that number of them."""
    load = Load(Target.at(child.url, _PATH), photos.data)
    idle = child.usage()
    if clients is None:
        steps = await climb(
            load,
            most=most,
            seconds=task.seconds,
            tell=task.tell,
            title="served",
            look=child.usage,
        )
    else:
        title = f"served by {settings.workers} workers"
        task.tell(title, 0, 1)
        await load.run(clients, task.seconds / 2)
        found = [
            await measured_step(load, number, task.seconds, child.usage)
            for number in (clients, 2 * clients)
        ]
        task.tell(title, 1, 1)
        steps = tuple(found)
    process = Process(
        settings.workers, settings.compute_threads, child.start_s, idle.resident, child.usage().peak
    )
    return Served(steps, process)


async def measure_there(task: Task, url: str) -> Measured:
    """Measure a server that runs already.

    Args:
        task: What to ask for.
        url: Where it is.

    Raises:
        RemoteError: There is none, it is no Viewfinder, or it refuses.
        ViewfinderError: No photo can be sent.
    """
    settings = task.settings
    photos = task.photos or golden_of(None, settings.limits)
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    tls = httpx2.create_ssl_context() if url.startswith("https:") else None
    path = f"{_PATH}?model={quote(task.model, safe='')}" if task.model else _PATH
    said = await _introduce(url, path, key, photos.data[0], tls)
    if said["cached"]:
        photos = _jpegs(photos, settings)
    load = Load(Target.at(url, path, key=key, tls=tls, varied=bool(said["cached"])), photos.data)
    try:
        steps = await climb(
            load, most=_MOST_CLIENTS, seconds=task.seconds, tell=task.tell, title="served"
        )
    except OSError as error:
        raise RemoteError(f"the server at {url} can no longer be reached") from error
    if not any(step.answered for step in steps):
        raise RemoteError(f"the server at {url} has answered no photo while it was measured")
    model = said["model"]
    return Measured(
        model=printable(f"{model['name']}@{model['version']}"),
        variant=printable(str(model["variant"])),
        pictures=photos.pictures,
        served=Served(steps),
        machine=machine(),
        cores=available_cores(),
        url=url,
        varied=bool(said["cached"]),
    )


async def _introduce(
    url: str, path: str, key: str | None, photo: bytes, tls: ssl.SSLContext | None
) -> dict[str, Any]:
    """What a server says of a photo, the second time: whether it keeps answers shows only then.

    A redirect is not followed: the key would go with it. Proxies from the environment are ignored.
    """
    headers = {"Content-Type": "image/*", "Accept": "application/json"}
    if key is not None:
        headers["X-API-Key"] = key
    async with httpx2.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=_TIMEOUT_S,
        trust_env=False,
        verify=tls or httpx2.create_ssl_context(),
    ) as client:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                _, alive = await _answer(client.stream("GET", "health/live"))
                if "version" not in alive:
                    raise RemoteError(f"what answers at {url} is no Viewfinder")
                for _ in range(2):
                    asked = client.stream("POST", path.lstrip("/"), content=photo)
                    status, said = await _answer(asked)
        except (httpx2.RequestError, TimeoutError) as error:
            raise RemoteError(f"no server can be reached at {url}") from error
    if status != HTTPStatus.OK:
        why = printable(str(said.get("detail", f"it answers {status}")))
        raise RemoteError(f"the server refuses: {why}")
    model = said.get("model")
    if "cached" in said and isinstance(model, dict) and model.keys() >= _SERVED:
        return said
    raise RemoteError(f"what answers at {url} is no Viewfinder")


async def _answer(
    asked: contextlib.AbstractAsyncContextManager[httpx2.Response],
) -> tuple[int, dict[str, Any]]:
    """Status and body; the body of one that is no Viewfinder, and may have no end, is empty."""
    body = bytearray()
    async with asked as answer:
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > _LONGEST_ANSWER:
                return answer.status_code, {}
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    return answer.status_code, said if isinstance(said, dict) else {}


def _jpegs(photos: Photos, settings: Settings) -> Photos:
    """Those that can be made different each time, so that none is answered from a cache."""
    jpegs = [photo for photo in photos.data if photo.startswith(JPEG)]
    if not jpegs:
        raise DatasetError("the server keeps its answers: only JPEG photos get past that")
    return gather(jpegs, photos.pictures.source, settings.limits)
