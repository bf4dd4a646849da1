"""`viewfinder db`: the database of keys, results and jobs."""

from pathlib import Path
from typing import Annotated

import typer

from viewfinder.cli.console import Json, print_json, replacing, say

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.callback()
def _database() -> None:
    """Look after the database."""


@app.command("upgrade")
def upgrade(*, as_json: Json = False) -> None:
    """Bring the database to what this release wants. SQLite does that by itself.

    Example:  viewfinder db upgrade
    """
    from viewfinder.settings import load_settings
    from viewfinder.storage import schema

    before, after = schema.upgrade(load_settings())
    if as_json:
        print_json({"from": before, "to": after})
    elif after > schema.REVISION:
        say(f"the database is at step {after}, of a newer release; {schema.REVISION} is in it")
    elif before == after:
        say(f"the database is as it should be, at step {after}")
    else:
        say(f"the database went from {before or 'nothing'} to step {after}")


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; what is there is replaced.")],
    *,
    as_json: Json = False,
) -> None:
    """Copy the SQLite database as it is at one moment, while servers go on with it.

    PostgreSQL has pg_dump for that.

    Example:  viewfinder db backup /backup/viewfinder.db
    """
    from viewfinder.settings import load_settings
    from viewfinder.storage import copying

    with replacing(file) as partial:
        step = copying.copy_database(load_settings(), partial)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size, "step": step})
    else:
        say(f"{file}: {size / 1_000_000:.1f} MB, at step {step}")
