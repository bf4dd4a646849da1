"""`viewfinder jobs` and `viewfinder worker`."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.jobs.making import a_job, after, answered, broken, photos_of
from tests.support import COMMAND, environment, run_command
from typer.testing import CliRunner, Result

from viewfinder.cli.main import app
from viewfinder.errors import ConflictError, JobNotFoundError
from viewfinder.settings import Settings
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.rows import Job
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.schema import open_database


async def _two_jobs(home: Path) -> tuple[Job, Job]:
    """One that is half done, and one that waits."""
    database = await open_database(Settings(home=home))
    first, second = a_job(4), a_job(1, model="other")
    for job in (first, second):
        await Jobs(database).add(job, photos_of(job), most_waiting=2)
    claim = await JobQueue(database).claim(after(1), 60, "me")
    assert claim is not None
    assert await JobQueue(database).record(claim, [*answered(0), broken(1)], after(2), 60)
    await database.close()
    return first, second


def test_jobs_are_listed_shown_and_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWFINDER_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")  # the table folds what is too long for it
    first, second = asyncio.run(_two_jobs(tmp_path))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["jobs", *words])

    table = run("list").stdout
    assert table.index(second.id) < table.index(first.id)
    assert "2/4" in table
    assert "fake@1" in table
    listed = json.loads(run("list", "--state", "running", "--json").stdout)["jobs"]
    assert [job["id"] for job in listed] == [first.id]
    assert listed[0]["counts"] == {"total": 4, "succeeded": 1, "failed": 1, "waiting": 2}
    assert run("show", first.id).stdout.count(first.id) == 1
    cancelled = run("cancel", second.id, "--json")
    assert json.loads(cancelled.stdout)["state"] == "cancelled"
    assert "0 of 1 images were done" in cancelled.stderr
    again = run("cancel", second.id)
    assert (again.exit_code, again.stdout) == (1, "")
    assert isinstance(again.exception, ConflictError)
    assert isinstance(run("show", "nothing").exception, JobNotFoundError)
    assert run("list", "--state", "lost").exit_code == 2


def test_a_worker_says_that_it_works_and_stops_when_told(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "worker", "--json", "--threads", "1"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"threads": 1}
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopping" in log
    assert "Traceback" not in log


def test_a_worker_says_at_once_what_is_wrong_with_the_database(tmp_path: Path) -> None:
    (tmp_path / "viewfinder.db").write_bytes(b"this is no database" * 100)
    failed = run_command("worker", home=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("viewfinder: the database ")
    assert len(failed.stderr.splitlines()) == 1
