"""`viewfinder classify`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TextIO

import typer

from viewfinder.cli.console import Json, fail, say

if TYPE_CHECKING:
    from viewfinder.settings import Settings

_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"}
_BAR = 24


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

    photos = list(_photos(sources))
    if not photos:
        fail(f"no photos found; these are looked for: {' '.join(sorted(_SUFFIXES))}")
    if out is not None and out.suffix != ".jsonl":
        fail("--out takes a file that ends in .jsonl", code=2)
    lines = _Lines(total=len(photos), as_json=as_json)
    try:
        with lines, out.open("w") if out else _nowhere() as file:
            settings = load_settings(default_model=model)
            asyncio.run(_classify_all(settings, photos, top_k, lines, file))
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}")
    if out is not None:
        say(f"{len(photos)} images, {lines.failed} failed: {out}")
    if lines.failed == len(photos):
        sys.exit(1)


def _photos(sources: list[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            found = (path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES)
            yield from sorted(path for path in found if path.is_file())
        elif source.exists():
            yield source
        else:
            fail(f"{source} does not exist")


async def _classify_all(
    settings: "Settings", photos: list[Path], top_k: int, lines: "_Lines", file: TextIO | None
) -> None:
    """Ask the service that serves, for as many photos side by side as keep its threads busy."""
    import asyncio

    from viewfinder.api.errors import to_problem
    from viewfinder.api.schemas import Model, Score
    from viewfinder.app import build_services, running
    from viewfinder.errors import InvalidImageError, RequestError

    services = build_services(settings)
    limits = settings.limits

    async def answer(path: Path) -> dict[str, Any]:
        try:
            # One byte more than the limit is enough to be refused for it.
            data = await asyncio.to_thread(_read, path, limits.image_bytes + 1)
            prediction = await services.classify.classify(data, timeout_s=3600, top_k=top_k)
        except OSError:
            error: RequestError = InvalidImageError("The file cannot be read.")
        except RequestError as refused:
            error = refused
        else:
            scores = [Score.of(score) for score in prediction.classes]
            model = prediction.model
            return {
                "path": str(path),
                "class": prediction.top.label,
                "confidence": prediction.top.confidence,
                "classes": [score.model_dump(by_alias=True) for score in scores],
                "model": Model(
                    name=model.name, version=model.version, variant=model.variant
                ).model_dump(),
            }
        return {"path": str(path), "error": to_problem(error).model_dump(exclude_none=True)}

    services.models.default_status()  # an unknown model ends the command before it begins
    async with running(services):
        await services.models.get(None)  # and a broken one here
        ahead = 2 * settings.compute_threads
        pending: list[asyncio.Task[dict[str, Any]]] = []
        for path in photos:
            pending.append(asyncio.create_task(answer(path)))
            if len(pending) > ahead:
                lines.write(await pending.pop(0), file)
        for task in pending:
            lines.write(await task, file)


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        return file.read(most)


def _nowhere() -> Any:
    from contextlib import nullcontext

    return nullcontext()


class _Lines:
    """Shows answers as they come: JSON lines, text, or a progress bar when they go to a file."""

    def __init__(self, *, total: int, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        self.failed = 0
        self._total = total
        self._as_json = as_json
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("classifying", total=total)

    def __enter__(self) -> Self:
        if self._total > 1:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def write(self, line: dict[str, Any], file: TextIO | None) -> None:
        """Take one answer."""
        self._bar.advance(self._task)
        self.failed += "error" in line
        text = json.dumps(line, ensure_ascii=False)
        if file is not None:
            file.write(text + "\n")
        elif self._as_json:
            sys.stdout.write(text + "\n")
        else:
            self._bar.console.file.flush()
            sys.stdout.write(_readable(line, many=self._total > 1))


def _readable(line: dict[str, Any], *, many: bool) -> str:
    if "error" in line:
        return f"{line['path']}: {line['error']['detail']}\n"
    if many:
        return f"{line['path']}: {line['class']} {line['confidence']:.1%}\n"
    widest = max(len(score["class"]) for score in line["classes"])
    return "".join(
        f"{score['class']:{widest}}  {score['confidence']:6.1%}  "
        f"{'█' * round(_BAR * score['confidence'])}\n"
        for score in line["classes"]
    )
