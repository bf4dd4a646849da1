"""`viewfinder data`: its commands, in the order of its help."""

import typer

from viewfinder.cli.data import check, export

app = typer.Typer(help="Look at labelled photos before learning from them.", no_args_is_help=True)
app.command("check")(check.check)
app.command("export")(export.export_photos)
