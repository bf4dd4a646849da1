"""`viewfinder keys webhook-secret`, and callbacks of jobs at the command line."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import typer
from tests.jobs.receiver import put
from tests.support import run_command
from typer.testing import CliRunner

from viewfinder.cli import callbacks
from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.deliveries import Attempt, Deliveries
from viewfinder.storage.schema import open_database

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
_T = TypeVar("_T")


def _with_database(home: Path, ask: Callable[[Database], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        database = await open_database(Settings(home=home))
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(asked())


def test_a_key_has_a_secret_that_is_shown_and_rotated(tmp_path: Path) -> None:
    def secret(*arguments: str) -> dict[str, str]:
        result = run_command("keys", "webhook-secret", *arguments, home=tmp_path, timeout=300)
        assert result.returncode == 0, result
        return {"out": result.stdout, "err": result.stderr}

    token = run_command("keys", "create", "robot", home=tmp_path, timeout=300).stdout.strip()
    first = secret("robot")
    assert first["out"].startswith("whsec_")
    assert first["err"] == ""
    rotated = secret(token[3:15], "--rotate")
    assert rotated["out"] != first["out"]
    assert "the one before too" in rotated["err"]
    shown = json.loads(secret(token, "--json")["out"])
    assert shown["secret"] == rotated["out"].strip()
    assert shown["previous_until"] is not None
    assert secret()["out"] not in {first["out"], rotated["out"]}
    unknown = run_command("keys", "webhook-secret", "nobody", home=tmp_path, timeout=300)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("viewfinder: there is no key nobody in use")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """`viewfinder jobs`, as far as it is about callbacks."""
    monkeypatch.setenv("VIEWFINDER_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    app = typer.Typer()
    callbacks.add_to(app)
    return app


def test_the_attempts_of_a_callback_are_listed_and_it_is_sent_again(
    jobs: typer.Typer, tmp_path: Path
) -> None:
    async def fill(database: Database) -> str:
        identifier = await put(database, "https://example.com/hook", NOW, job="j")
        deliveries = Deliveries(database)
        (claimed,) = await deliveries.claim(NOW, 30, "one", 1)
        attempt = Attempt(NOW, 0.25, 410)
        await deliveries.record(claimed, "one", attempt, "refused", next_due=None, now=NOW)
        return identifier

    identifier = _with_database(tmp_path, fill)
    run = CliRunner()
    listed = run.invoke(jobs, ["deliveries", "j"])
    assert listed.exit_code == 0
    assert "2026-05-01 12:00:00" in listed.output
    assert "410" in listed.output
    assert f"{identifier} to https://example.com/hook: refused" in listed.output
    (callback,) = json.loads(run.invoke(jobs, ["deliveries", "j", "--json"]).stdout)["callbacks"]
    assert (callback["state"], callback["attempts"][0]["status"]) == ("refused", 410)

    again = run.invoke(jobs, ["redeliver", "j", "--json"])
    assert json.loads(again.stdout) == {"callbacks": [identifier]}
    ((delivery, _),) = _with_database(tmp_path, lambda found: Deliveries(found).of_job("j"))
    assert (delivery.state, delivery.attempts) == ("waiting", 0)
    assert delivery.due is not None
    assert abs(delivery.due - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("command", ["deliveries", "redeliver"])
def test_a_job_without_a_callback_is_told(jobs: typer.Typer, command: str) -> None:
    result = CliRunner().invoke(jobs, [command, "nothing"])
    assert result.exit_code == 1
    assert "there is no callback of a job nothing" in result.output
