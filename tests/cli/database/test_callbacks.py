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
from typer.testing import CliRunner, Result

from viewfinder.access.keys import make_key
from viewfinder.cli.database import callbacks
from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.deliveries import Attempt, Deliveries
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database
from viewfinder.storage.secrets import WebhookSecrets

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


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """`viewfinder jobs`, as far as it is about callbacks."""
    return _commands(tmp_path, monkeypatch, callbacks.add_to)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The same of `viewfinder keys`."""
    return _commands(tmp_path, monkeypatch, callbacks.add_to_keys)


def _commands(
    home: Path, monkeypatch: pytest.MonkeyPatch, add: Callable[[typer.Typer], None]
) -> typer.Typer:
    monkeypatch.setenv("VIEWFINDER_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    app = typer.Typer()
    app.callback()(lambda: None)  # a command alone would lose its name
    add(app)
    return app


def test_a_key_has_a_secret_that_is_shown_and_rotated(keys: typer.Typer, tmp_path: Path) -> None:
    key, token = make_key("robot", now=NOW, scopes=["classify"])
    _with_database(tmp_path, lambda database: ApiKeys(database).add(key))

    def ask(*arguments: str) -> Result:
        result = CliRunner().invoke(keys, ["webhook-secret", *arguments])
        assert result.exit_code == 0, result
        return result

    first = ask("robot")
    assert first.stdout.startswith("whsec_")
    assert first.stderr == ""
    rotated = ask(key.id, "--rotate")
    assert rotated.stdout != first.stdout
    assert "the one before too" in rotated.stderr
    shown = json.loads(ask(token, "--json").stdout)
    assert shown["secret"] == rotated.stdout.strip()
    assert shown["previous_until"] is not None
    others = {ask(*who).stdout for who in ([], ["bootstrap"], ["oidc:somebody"])}
    assert len({first.stdout, rotated.stdout, *others}) == 5
    found = _with_database(
        tmp_path, lambda database: WebhookSecrets(database).of(f"key:{key.id}", NOW)
    )
    assert found.secret == shown["secret"]


def test_who_has_no_key_has_no_secret(keys: typer.Typer) -> None:
    key, token = make_key("robot", now=NOW, scopes=["classify"])
    result = CliRunner().invoke(keys, ["webhook-secret", token])
    assert result.exit_code == 1
    assert f"there is no key {key.id} in use" in result.stderr
    assert token[16:] not in result.output


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
