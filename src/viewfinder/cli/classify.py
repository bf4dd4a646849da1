"""`viewfinder classify`."""

import contextlib
import json
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from viewfinder.cli.console import Json, fail, printable, progress_bar, say, written
from viewfinder.imaging.suffixes import HEIC, SUFFIXES

if TYPE_CHECKING:
    from viewfinder.settings import Settings

_BAR = 24
_PATIENCE_S = 3600


def classify(
    sources: Annotated[
        list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Photos, or folders of them.")
    ],
    *,
    model: Annotated[str | None, typer.Option(help="name, name@3 or name@alias.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Classes to name.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Write a line of JSON for each image here (.jsonl).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Classify photos on this machine, with all cores and without a server.

    Example:  viewfinder classify photos/ --out labels.jsonl
    """
    import asyncio

    from viewfinder.settings import load_settings

    if out is not None and out.suffix != ".jsonl":
        fail("--out takes a file that ends in .jsonl", code=2)
    photos = list(_photos(sources))
    if not photos:
        fail(f"no photos found; these are looked for: {' '.join(sorted(SUFFIXES))}")
    _tell_of_extra(photos)
    settings = load_settings(default_model=model)
    failed = asyncio.run(_classify_all(settings, photos, top_k, out, as_json=as_json))
    if out is not None:
        say(f"{len(photos)} images, {failed} failed: {out}")
    if failed == len(photos):
        sys.exit(1)


def _photos(sources: list[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            found = (path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
            yield from sorted(path for path in found if path.is_file())
        elif source.exists():
            yield source
        else:
            fail(f"{source} does not exist")


def _tell_of_extra(photos: list[Path]) -> None:
    from viewfinder.errors import MissingExtraError
    from viewfinder.imaging.formats import heif

    if any(path.suffix.lower() in HEIC for path in photos) and not heif.is_installed():
        say(MissingExtraError("HEIC", heif.EXTRA).detail)


async def _classify_all(
    settings: "Settings", photos: list[Path], top_k: int, out: Path | None, *, as_json: bool
) -> int:
    """Print or write an answer for each photo, in their order; how many failed."""
    from viewfinder.app import build_services, running

    services = build_services(settings)
    services.models.status_of(services.models.default)  # an unknown model ends the command here,
    failed = 0
    async with running(services):
        await services.models.get(None)  # and a broken one here, before anything is written
        shown = out is not None or not sys.stdout.isatty()
        async with contextlib.aclosing(_answers(services, photos, top_k)) as answers:
            with progress_bar(shown=shown and len(photos) > 1) as progress, _out(out) as file:
                done = 0
                async for line in answers:
                    failed += "error" in line
                    if file is not None or as_json:
                        text = json.dumps(line, ensure_ascii=False) + "\n"
                    else:
                        text = _readable(line, many=len(photos) > 1)
                    (file or sys.stdout).write(text)
                    done += 1
                    progress("classifying", done, len(photos))
    return failed


async def _answers(
    services: Any, photos: list[Path], top_k: int
) -> AsyncGenerator[dict[str, Any], None]:
    """The service that serves, asked for as many photos side by side as keep its threads busy."""
    import asyncio
    import time

    from viewfinder.api.errors import to_problem
    from viewfinder.api.schemas import Classification
    from viewfinder.errors import InvalidImageError, RequestError, ServiceError

    settings = services.settings

    async def answer(path: Path) -> dict[str, Any]:
        try:
            # One byte more than the limit is enough to be refused for it.
            data = await asyncio.to_thread(_read, path, settings.limits.image_bytes + 1)
            prediction = await services.classify.classify(
                data, deadline=time.monotonic() + _PATIENCE_S, top_k=top_k
            )
        except OSError:
            error: RequestError | ServiceError = InvalidImageError("The file cannot be read.")
        except (RequestError, ServiceError) as refused:
            error = refused
        else:
            kept = {"label", "confidence", "classes", "model"}
            body = Classification.of(prediction).model_dump(by_alias=True, include=kept)
            return {"path": str(path), **body}
        return {"path": str(path), "error": to_problem(error).model_dump(exclude_none=True)}

    ahead = min(2 * settings.compute_threads, settings.queue_size)
    pending: deque[asyncio.Task[dict[str, Any]]] = deque()
    try:
        for path in photos:
            pending.append(asyncio.create_task(answer(path)))
            if len(pending) >= ahead:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _out(path: Path | None) -> contextlib.AbstractContextManager[TextIO | None]:
    return written(path) if path is not None else contextlib.nullcontext()


def _readable(line: dict[str, Any], *, many: bool) -> str:
    # A file's name may hold anything, also what moves a terminal's cursor.
    path = printable(line["path"])
    if "error" in line:
        return f"{path}: {line['error']['detail']}\n"
    if many:
        return f"{path}: {line['class']} {line['confidence']:.1%}\n"
    widest = max(len(score["class"]) for score in line["classes"])
    return "".join(
        f"{score['class']:{widest}}  {score['confidence']:6.1%}  "
        f"{'█' * round(_BAR * score['confidence'])}\n"
        for score in line["classes"]
    )
