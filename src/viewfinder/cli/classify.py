"""`viewfinder classify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, say
from viewfinder.imaging.suffixes import HEIC, SUFFIXES
from viewfinder.shared.options import MOST_CLASSES

if TYPE_CHECKING:
    from viewfinder.cli.batch.sources import Photo

_WEB = {"http", "https"}


def classify(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO|FOLDER|ZIP|URL...",
            help="Photos, folders or zip archives of them, addresses of them.",
        ),
    ],
    *,
    model: Annotated[str | None, typer.Option(help="name, name@3 or name@alias.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=MOST_CLASSES, help="Classes to name.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the answers here: a .jsonl, .csv or .parquet file."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, where a run was cut off.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Let this server answer; the key is that of VIEWFINDER_API_KEY."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Classify photos on this machine, with all cores and without a server.

    With --out, a run that was cut off goes on when it is called in the same way.

    Example:  viewfinder classify photos/ --out labels.csv
    """
    from viewfinder.cli.batch.outputs import output_of
    from viewfinder.cli.batch.printing import print_answers
    from viewfinder.cli.batch.run import Task
    from viewfinder.cli.batch.sources import Sources
    from viewfinder.cli.batch.writing import write_answers
    from viewfinder.settings import load_settings

    if fresh and out is None:
        fail("--fresh goes with --out", code=2)
    if server is not None:
        check_server(server, "--server")
    output = output_of(out) if out is not None else None
    settings = load_settings()
    task = Task(tuple(sources), model, top_k, server, settings)
    found = Sources(sources, settings)
    if not found.photos:
        fail(
            f"no photos found in {', '.join(sources)}{_instead(sources)}; "
            f"these are looked for: {' '.join(sorted(SUFFIXES))}"
        )
    if server is None:
        _tell_of_extra(found.photos)
    if out is None or output is None:
        failed = print_answers(task, found, as_json=as_json)
    else:
        summary = write_answers(task, found, out, output, fresh=fresh)
        failed = summary.tally.failed
        say(summary.as_text())
        if as_json:
            print_json(summary.as_json())
    if failed == len(found.photos):
        sys.exit(1)


def _instead(sources: list[str]) -> str:
    """What folders without photos have."""
    folders = (Path(source) for source in sources if Path(source).is_dir())
    others = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    if not others:
        return ", which is empty" if len(sources) == 1 and Path(sources[0]).is_dir() else ""
    return f", but {len(others):,} other file{'s' * (len(others) > 1)}, such as {min(others)}"


def check_server(url: str, option: str) -> None:
    """End the command if this is no address of a server."""
    import httpx2

    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL()
    if parsed.scheme not in _WEB or not parsed.host:
        fail(f"{option} takes http://... or https://..., not {url!r}", code=2)


def _tell_of_extra(photos: "list[Photo]") -> None:
    from viewfinder.errors import MissingExtraError
    from viewfinder.imaging.formats import heif

    named = any(Path(photo.path).suffix.lower() in HEIC for photo in photos)
    if named and not heif.is_installed():
        say(MissingExtraError("HEIC", heif.EXTRA).detail)
