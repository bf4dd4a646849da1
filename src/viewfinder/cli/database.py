"""`viewfinder db`: the database of keys, results and jobs."""

import typer

from viewfinder.cli.console import Json, print_json, say

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
    elif before == after:
        say(f"the database is as it should be, at step {after}")
    else:
        say(f"the database went from {before or 'nothing'} to step {after}")
