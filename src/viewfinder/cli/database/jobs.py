"""`viewfinder jobs`: the jobs of the database that the settings name."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from viewfinder.cli.console import Json, print_json, print_table, say
from viewfinder.cli.database.asking import with_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from viewfinder.storage.jobs.rows import Job
    from viewfinder.storage.jobs.table import Jobs

app = typer.Typer(help="List, show and cancel jobs.", no_args_is_help=True)

_T = TypeVar("_T")
_Id = Annotated[str, typer.Argument(metavar="ID", help="Which job.")]


class _State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@app.callback()
def _jobs() -> None:
    """List, show and cancel jobs."""


@app.command("list")
def list_jobs(
    *,
    state: Annotated[_State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the jobs, newest first.

    Example:  viewfinder jobs list --state running
    """
    found = _with_jobs(lambda jobs: jobs.page(state=state, before=None, limit=limit))
    if as_json:
        print_json({"jobs": [_as_json(job) for job in found]})
        return
    print_table(
        ("id", "model", "state", "done", "failed"),
        (
            (job.id, f"{job.model}@{job.version}", job.state, f"{job.done}/{job.total}", job.failed)
            for job in found
        ),
    )


@app.command("show")
def show(identifier: _Id, *, as_json: Json = False) -> None:
    """Show one job.

    Example:  viewfinder jobs show 0199a2f4-5f0e-7c7b-9d35-6d7a4c1f0e11
    """
    _print(_with_jobs(lambda jobs: jobs.get(identifier)), as_json=as_json)


@app.command("cancel")
def cancel(identifier: _Id, *, as_json: Json = False) -> None:
    """Cancel a job. What has been answered stays; the images that were sent are deleted.

    Example:  viewfinder jobs cancel 0199a2f4-5f0e-7c7b-9d35-6d7a4c1f0e11
    """
    job = _with_jobs(lambda jobs: jobs.cancel(identifier, datetime.now(UTC)))
    _print(job, as_json=as_json)
    say(f"the job {job.id} is cancelled; {job.done} of {job.total} images were done")


def _print(job: "Job", *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(job))
        return
    shown = {
        "id": job.id,
        "state": job.state,
        "model": f"{job.model}@{job.version}",
        "done": _progress(job),
        "succeeded": job.succeeded,
        "failed": job.failed,
        "created": _moment(job.created),
        "started": _moment(job.started),
        "finished": _moment(job.finished),
        "error": job.error_detail or "-",
        "callback": job.callback_url or "-",
    }
    print_table(("", ""), shown.items())


def _progress(job: "Job") -> str:
    share = 100 * job.done // job.total if job.total else 100
    return f"{job.done} of {job.total} ({share}%)"


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _as_json(job: "Job") -> dict[str, Any]:
    from viewfinder.storage.jobs.messages import describe

    return describe(job)


def _with_jobs(ask: "Callable[[Jobs], Awaitable[_T]]") -> _T:
    from viewfinder.storage.jobs.table import Jobs

    return with_database(lambda database: ask(Jobs(database)))
