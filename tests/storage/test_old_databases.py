"""A new release over what an old one has left: its database, its blobs, its models."""

import asyncio
import hashlib
import json
import logging
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy
from sqlalchemy import Connection, create_engine, inspect, text
from tests.support import DATA, eventually, grey, run_command, serving

from viewfinder.errors import DatabaseError
from viewfinder.registry.manifest import Variant
from viewfinder.results.images import image_key
from viewfinder.settings import Settings
from viewfinder.storage.database import database_url
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.schema import REVISION, open_database, upgrade

OLD: dict[str, Any] = json.loads((DATA / "database-0002.json").read_text())
"""What a server at step 0002 had when it was killed in the middle of a job: rows of each table."""

AT_FIRST = {"api_keys"}
"""The tables of step 0001."""

STEPS = ["0001", "0002"]
JOB = next(job for job in OLD["tables"]["jobs"] if job["state"] == "running")


def _config() -> Any:
    config = import_module("alembic.config").Config()
    config.set_main_option("script_location", "viewfinder.storage:migrations")
    return config


def _engine(settings: Settings) -> Any:
    url = database_url(settings)
    return create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))


def _migrate(connection: Connection, step: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    import_module("alembic.command").upgrade(config, step)


def _leave_behind(settings: Settings, step: str) -> None:
    """Make the database as the release of a step made it, with the rows that it had."""
    engine = _engine(settings)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET TIME ZONE 'UTC'"))
        _migrate(connection, step)
        for table, rows in OLD["tables"].items():
            if step == "0001" and table not in AT_FIRST:
                continue
            # No types: every value goes there as it was found.
            plain = sqlalchemy.table(table, *(sqlalchemy.column(name) for name in rows[0]))
            connection.execute(plain.insert(), rows)
    engine.dispose()


def _leave_files(home: Path) -> None:
    """The blobs that belong to the rows, and a model whose manifest has what the first ones had."""
    blobs = {image_key(row["id"]): b"as it was" for row in OLD["tables"]["results"]}
    blobs |= {input_key(JOB["id"], n): grey(8 + 16 * n) for n in range(JOB["total"])}
    for key, data in blobs.items():
        path = home / "blobs" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    graph = b'{"classes": 16}'
    variant = {
        "name": "only",
        "format": "fake",
        "engine": "fake",
        "file": {
            "path": "graph.json",
            "bytes": len(graph),
            "sha256": hashlib.sha256(graph).hexdigest(),
        },
        "preprocess": {"width": 8, "height": 8},
        "golden": {"tolerance": 0.01, "samples": []},
    }
    manifest = {
        "schema_version": 1,
        "name": "fake",
        "version": 1,
        "created": "2026-01-01T00:00:00Z",
        "labels": [{"name": f"step-{n}"} for n in range(16)],
        "variants": [variant],
        "recommended": "only",
        "provenance": {},
    }
    assert variant.keys() < Variant.model_fields.keys(), "today's have more"
    folder = home / "models" / "fake" / "1"
    folder.mkdir(parents=True)
    (folder / "graph.json").write_bytes(graph)
    (folder / "bundle.json").write_text(json.dumps(manifest))


def _given(settings: Settings) -> dict[str, Any]:
    """The settings of the processes over what was left; nothing is too old for them."""
    url = settings.database.url
    return {
        "DEFAULT_MODEL": "fake",
        "AUTH__ENABLED": "true",
        "RESULTS__KEEP_DAYS": 36_500,
        "JOBS__KEEP_DAYS": 36_500,
        **({} if url is None else {"DATABASE__URL": url}),
    }


@pytest.mark.parametrize("step", STEPS)
def test_what_an_older_release_has_left_is_upgraded_once_and_served(
    settings: Settings, step: str
) -> None:
    _leave_behind(settings, step)
    _leave_files(settings.home)
    given = _given(settings)
    run = partial(run_command, "db", "upgrade", "--json", home=settings.home, timeout=300, **given)
    with ThreadPoolExecutor(2) as pool:
        done = [future.result() for future in (pool.submit(run), pool.submit(run))]
    assert [result.returncode for result in done] == [0, 0], done
    told = sorted(json.loads(result.stdout)["from"] for result in done)
    assert told == sorted([step, REVISION]), "one has done it, and the other has found it done"

    key = {"X-API-Key": OLD["tokens"]["alice"]}
    with (
        serving(settings.home, **given) as server,
        httpx2.Client(base_url=server.url, headers=key, trust_env=False, timeout=60) as client,
    ):
        photo = {"Content-Type": "image/png"}
        answer = client.post("/v1/classify", content=grey(20), headers=photo).json()
        assert answer["class"] == "step-1"
        revoked = client.get("/v1/results", headers={"X-API-Key": OLD["tokens"]["bob"]})
        assert revoked.status_code == 401
        if step == "0001":
            return
        _look_at_results(client, new=answer["id"])
        _look_at_jobs(client)


def _look_at_results(client: httpx2.Client, new: str) -> None:
    rows = {row["id"]: row for row in OLD["tables"]["results"]}
    listed = {row["id"]: row for row in client.get("/v1/results").json()["results"]}
    assert rows.keys() <= listed.keys()
    assert listed.keys() - rows.keys() - {new} <= _of_the_job(client)
    for identifier, row in rows.items():
        feedback = listed[identifier]["feedback"]
        assert listed[identifier]["class"] == row["label"]
        assert (feedback["label"] if feedback else None) == row["feedback"]
        assert listed[identifier]["job_id"] == row["job"]
        image = client.get(f"/v1/results/{identifier}/image")
        assert (image.status_code, image.content) == (200, b"as it was")
    accuracy = client.get("/v1/models/fake/live-accuracy").json()
    assert '"reviewed": 2' in json.dumps(accuracy)


def _of_the_job(client: httpx2.Client) -> set[str]:
    items = client.get(f"/v1/jobs/{JOB['id']}/results").json()["results"]
    return {item["result"]["id"] for item in items if "result" in item}


def _look_at_jobs(client: httpx2.Client) -> None:
    """The one in work goes on where it was, and is done; the other is as it was."""
    before = {
        item["position"]: json.loads(item["answer"])
        for item in OLD["tables"]["job_items"]
        if item["job"] == JOB["id"] and item["answer"]
    }
    assert before
    eventually(lambda: client.get(f"/v1/jobs/{JOB['id']}").json()["state"] == "succeeded")
    counts = client.get(f"/v1/jobs/{JOB['id']}").json()["counts"]
    assert counts == {"total": 12, "succeeded": 11, "failed": 1, "waiting": 0}
    items = client.get(f"/v1/jobs/{JOB['id']}/results").json()["results"]
    assert [item["index"] for item in items] == [*range(12)]
    old = {item["result"] for item in OLD["tables"]["job_items"] if item["result"]}
    kept = {item["result"]["id"] for item in items if "result" in item} & old
    assert len(kept) == len(before), "what was answered is not worked out again"
    over = next(job for job in OLD["tables"]["jobs"] if job["state"] == "succeeded")
    assert client.get(f"/v1/jobs/{over['id']}").json()["counts"]["succeeded"] == over["total"]
    secret = client.get("/v1/webhooks/secret").json()["secret"]
    assert secret == OLD["tables"]["webhook_secrets"][0]["secret"]


def test_two_servers_that_start_at_once_over_an_old_file_upgrade_it_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    _leave_behind(settings, "0001")
    _leave_files(tmp_path)
    start = partial(serving, tmp_path, **_given(settings))
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        starting = [pool.submit(lambda: stack.enter_context(start())) for _ in range(2)]
        servers = [future.result() for future in starting]
        for server in servers:
            key = {"X-API-Key": OLD["tokens"]["alice"]}
            answer = httpx2.get(f"{server.url}/v1/results", headers=key, trust_env=False)
            assert (answer.status_code, answer.json()["results"]) == (200, [])
            assert "Traceback" not in "\n".join(server.lines)
    with sqlite3.connect(tmp_path / "viewfinder.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (REVISION,)
        ]


def test_over_tables_that_are_far_newer_nothing_starts_and_says_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    upgrade(settings)
    _pretend(settings, "9999")
    for command in ("serve", "worker"):
        failed = run_command(command, "--port", "0", home=settings.home, **_given(settings))
        assert failed.returncode == 1
        assert "newer release of Viewfinder, at step 9999" in failed.stderr
        assert f"this one knows {REVISION}" in failed.stderr
        assert "Traceback" not in failed.stderr


async def test_the_release_before_goes_on_with_tables_that_are_a_step_newer(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """As a replica does that starts again while others are already of the next release."""
    await asyncio.to_thread(upgrade, settings)
    newer = f"{int(REVISION) + 1:04}"
    _pretend(settings, newer)
    with caplog.at_level(logging.WARNING):
        database = await open_database(settings)
    await database.close()
    assert f"at step {newer}, of a newer release" in caplog.text
    assert await asyncio.to_thread(upgrade, settings) == (newer, newer), "and takes nothing back"
    two = f"{int(REVISION) + 2:04}"
    _pretend(settings, two)
    with pytest.raises(DatabaseError, match="newer release"):
        await open_database(settings)


def _pretend(settings: Settings, step: str) -> None:
    engine = _engine(settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :step"), {"step": step})
    engine.dispose()


def test_each_step_leaves_the_release_before_it_at_work(settings: Settings) -> None:
    """What was there before a step still is, and nothing new must be filled in by who knows it not.

    A step that takes something away comes when the release before it no longer uses that: it is
    then named here.
    """
    taken_away: set[tuple[str, str]] = set()
    script = import_module("alembic.script").ScriptDirectory.from_config(_config())
    steps = [step.revision for step in reversed(list(script.walk_revisions()))]
    assert steps[: len(STEPS)] == STEPS
    assert all(re.fullmatch(r"\d{4}", step) for step in steps)
    before: dict[tuple[str, str], Any] = {}
    engine = _engine(settings)
    for step in steps:
        with engine.begin() as connection:
            _migrate(connection, step)
            after = _columns(connection)
        tables = {table for table, _ in before}
        for place in before.keys() - taken_away:
            assert place in after, (step, place)
            assert str(after[place]["type"]) == str(before[place]["type"]), (step, place)
            assert after[place]["nullable"] or not before[place]["nullable"], (step, place)
        for place in after.keys() - before.keys():
            column = after[place]
            if place[0] in tables:
                assert column["nullable"] or column["default"] is not None, (step, place)
        before = after
    engine.dispose()


def _columns(connection: Connection) -> dict[tuple[str, str], Any]:
    found = inspect(connection)
    return {
        (table, column["name"]): column
        for table in found.get_table_names()
        for column in found.get_columns(table)
    }
