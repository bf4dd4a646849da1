"""`viewfinder bench`."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, progress_bar, say, written
from viewfinder.shared.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from viewfinder.capacity.advice import Advice
    from viewfinder.capacity.measured import Measured
    from viewfinder.capacity.photos import Photos
    from viewfinder.capacity.progress import Tell
    from viewfinder.settings import Settings

_MOST_RATE = 1_000_000


def bench(
    *,
    model: Annotated[str | None, typer.Option(help="name, name@3 or name@alias.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Load this server instead; the key is that of VIEWFINDER_API_KEY."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="A photo, a folder or a zip. Default: what came with the model."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="How long each number of clients asks.")
    ] = 3.0,
    rate: Annotated[
        float | None, typer.Option(help="Requests per second that are to be served.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for viewfinder.toml, values.yaml, bench.json and bench.svg."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure what this machine can serve, and say which settings go with it.

    Nothing else should run meanwhile. A server at --url is loaded as heavily as it bears.

    Example:  viewfinder bench --rate 500 --out bench/
    """
    import asyncio
    from datetime import UTC, datetime

    from viewfinder.capacity.advice import advise
    from viewfinder.capacity.bench import Task, measure_here, measure_there
    from viewfinder.capacity.files import as_json as everything
    from viewfinder.cli.bench_report import print_report
    from viewfinder.cli.classify import check_server
    from viewfinder.settings import load_settings

    if url is not None:
        check_server(url, "--url")
        _check_bare(url)
    if rate is not None and not 0 < rate <= _MOST_RATE:
        fail("--rate is a number of requests per second, more than 0", code=2)
    if out is not None:
        _make(out)
    settings = load_settings()
    chosen = _photos(photos, settings) if photos is not None else None
    if url is not None:
        say(f"{url} is loaded as heavily as it bears; what it keeps of answers, it keeps of these")
    with _watching() as tell, _stopping():
        task = Task(settings, model, chosen, seconds, tell)
        measuring = measure_here(task) if url is None else measure_there(task, url)
        measured = asyncio.run(measuring)
    advice, created = advise(measured, rate, settings), datetime.now(UTC)
    if as_json:
        print_json(everything(measured, advice, created))
    else:
        print_report(measured, advice)
    if out is not None:
        _write(out, measured, advice, created)


def _check_bare(url: str) -> None:
    """It is printed and written to files: nothing secret may be in it."""
    import httpx2

    parts = httpx2.URL(url)
    if parts.userinfo or parts.query or parts.fragment:
        fail("--url is an address alone, without a name, a password or a query", code=2)


def _make(folder: Path) -> None:
    """Before anything is measured: whether it can be written to."""
    from tempfile import TemporaryFile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"cannot write to {folder}: {error.strerror or error}")


def _photos(path: Path, settings: "Settings") -> "Photos":
    """Some of those that were named, from the first to the last."""
    import asyncio

    from viewfinder.capacity.photos import MOST, gather
    from viewfinder.cli.batch.sources import Sources

    sources = Sources([str(path)], settings)
    found = sources.photos
    step = max(1, len(found) / MOST)
    chosen = [found[int(number * step)] for number in range(min(MOST, len(found)))]

    async def read() -> list[bytes]:
        try:
            return [await photo.read() for photo in chosen]
        finally:
            await sources.close()

    data = asyncio.run(read())
    source = str(path) if len(chosen) == len(found) else f"{path}, of {len(found):,}"
    return gather(data, printable(source), settings.limits)


@contextmanager
def _stopping() -> "Iterator[None]":
    """Whoever stops it by SIGTERM stops the server that is measured, too."""
    import signal

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _watching() -> "Iterator[Tell]":
    """Bars on a terminal, a line for each figure elsewhere; both on stderr."""
    if sys.stderr.isatty():
        with progress_bar() as tell:
            yield tell
    else:
        yield lambda what, done, total: say(f"{what}: {done} of {total}")


def _write(folder: Path, measured: "Measured", advice: "Advice", created: "datetime") -> None:
    import json

    from viewfinder.capacity.files import as_json, settings_toml, values_yaml
    from viewfinder.capacity.plot import plot

    files = {
        "bench.json": json.dumps(as_json(measured, advice, created), indent=2) + "\n",
        "bench.svg": plot(measured),
        "values.yaml": values_yaml(measured, advice, created),
    }
    if advice.settings:
        files["viewfinder.toml"] = settings_toml(measured, advice, created)
    for name, text in files.items():
        with written(folder / name) as file:
            file.write(text)
        say(f"written  {folder / name}")
