"""`viewfinder data export`: what people have corrected, to train with."""

import asyncio
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewfinder.cli.console import Json, fail, print_json, progress_bar, say
from viewfinder.shared.plain import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from viewfinder.results.export import Exported
    from viewfinder.settings import Settings
    from viewfinder.storage.results.wanted import Wanted

_DATE = re.compile(r"\d{4}-\d\d-\d\d([Tt ].+)?")


def export_photos(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Gets a folder for each label. Photos that are there already stay.",
            show_default=False,
        ),
    ],
    *,
    reviewed: Annotated[
        bool, typer.Option("--reviewed", help="The photos that somebody has given feedback on.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@V]", help="Those that this model answered.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Those answered since: 2026-11-01, or 2026-11-01T08:00:00Z. Days begin in UTC.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write reviewed photos to a training folder, FOLDER/<label>/reviewed-<id>.jpg.

    Run it again, and only what is new is written; a photo whose label has changed is moved.

    Example:  viewfinder data export photos/ --reviewed --model shoes
    """
    if not reviewed:
        fail("say what is to be exported: --reviewed", code=2)
    wanted = _wanted(model, since)
    from viewfinder.settings import load_settings

    settings = load_settings()
    with progress_bar() as bar:
        exported = asyncio.run(
            _export(settings, folder, wanted, lambda done, total: bar("exporting", done, total))
        )
    if as_json:
        print_json(asdict(exported))
    else:
        _print(exported, folder)


async def _export(
    settings: "Settings",
    folder: Path,
    wanted: "Wanted",
    progress: "Callable[[int, int], None]",
) -> "Exported":
    from viewfinder.blobs.store import open_blobs
    from viewfinder.results.export import export_reviewed
    from viewfinder.storage.results.table import Results
    from viewfinder.storage.schema import open_database

    blobs = open_blobs(settings)
    database = await open_database(settings)
    try:
        return await export_reviewed(Results(database), blobs, folder, wanted, progress)
    finally:
        await database.close()


def _wanted(model: str | None, since: str | None) -> "Wanted":
    from viewfinder.storage.results.wanted import Wanted
    from viewfinder.types import ModelRef

    name, version = None, None
    if model is not None:
        try:
            ref = ModelRef.parse(model)
        except ValueError as error:
            fail(f"--model: {error}", code=2)
        if ref.alias is not None:
            fail("--model takes a name or name@3: what an alias means may change", code=2)
        name, version = ref.name, ref.version
    return Wanted(model=name, version=version, since=None if since is None else _moment(since))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        fail(f"--since takes a date, as 2026-11-01 or 2026-11-01T08:00:00Z: {text!r}", code=2)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _print(exported: "Exported", folder: Path) -> None:
    shown = printable(str(folder))
    typer.echo(f"{exported.written:,} written to {shown}, {exported.present:,} there already")
    if exported.moved:
        typer.echo(f"{exported.moved:,} moved: their label has changed")
    if exported.without_image:
        say(
            f"{exported.without_image:,} have no stored image: with record = images, or "
            "VIEWFINDER_RECORD=images, a server stores those of later answers"
        )
    if exported.unfit:
        say(f"{exported.unfit:,} have a label that cannot be the name of a folder")
    if not exported.looked_at:
        say("nothing is reviewed yet: the page /review does that, or PUT /v1/results/{id}/feedback")
