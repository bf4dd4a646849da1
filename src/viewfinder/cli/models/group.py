"""`viewfinder models`: its commands, in the order of its help."""

import typer

from viewfinder.cli.models import backbones, export, inventory, publishing

app = typer.Typer(help="Look at the models, and change what is in the store.", no_args_is_help=True)
app.command("list")(inventory.list_models)
app.command("show")(inventory.show_model)
app.command("verify")(inventory.verify_models)
app.command("publish")(publishing.publish_model)
app.command("import")(publishing.import_model)
app.command("alias")(publishing.set_alias)
app.command("rollback")(publishing.roll_back)
app.command("delete")(publishing.delete_model)
app.command("export")(export.export_model)
app.command("backbones")(backbones.list_backbones)
