"""The entry point: gathers the commands and turns every expected error into one clear line."""

import os
import sys
from typing import Annotated

import typer

from viewfinder import __version__
from viewfinder.cli import bench, classify, doctor, serve, worker
from viewfinder.cli.console import fail, prepare
from viewfinder.cli.data import group as data
from viewfinder.cli.database import callbacks, jobs, keys, upkeep
from viewfinder.cli.making import evaluate, optimize, train
from viewfinder.cli.models import group as models
from viewfinder.errors import SettingsError, ViewfinderError

_DEBUG = "--debug"

app = typer.Typer(
    name="viewfinder",
    help="From a folder of photos to a production image-classification service.",
    epilog="Example:  viewfinder serve   or   viewfinder classify photo.jpg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("classify")(classify.classify)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("optimize")(optimize.optimize)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
callbacks.add_to_keys(keys.app)
app.add_typer(keys.app, name="keys")
callbacks.add_to(jobs.app)
app.add_typer(jobs.app, name="jobs")
app.command("worker")(worker.worker)
app.add_typer(upkeep.app, name="db")
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"viewfinder {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
    _debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    """Options before the command."""


def run() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 wrong usage."""
    debug = _DEBUG in sys.argv  # wherever it stands: people add it to the end of what failed
    prepare()
    try:
        app([argument for argument in sys.argv[1:] if argument != _DEBUG])
    except ViewfinderError as error:
        if debug:
            raise
        notes = getattr(error, "__notes__", ())
        fail(error.detail, *notes, code=2 if isinstance(error, SettingsError) else 1)
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
