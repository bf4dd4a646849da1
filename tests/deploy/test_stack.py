"""The services of `compose.yaml` together, with the commands and environment that they have there.

The stores are real ones on this machine, at other addresses; nothing else is changed.
"""

import contextlib
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.deploy.compose import services
from tests.deploy.composed import migrate, running_redis
from tests.postgres import PostgresServer
from tests.s3 import running_s3
from tests.support import COMMAND, environment, eventually, photo, run_command, serving

_PREFIX = "VIEWFINDER_"


def test_photos_and_jobs_are_answered(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("server", "worker", "key", "redis")}
    for folder in folders.values():
        folder.mkdir()
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis("redis", folders["redis"]))
        cache = stack.enter_context(running_redis("cache", folders["redis"]))
        s3 = stack.enter_context(running_s3())
        database = postgres.new_database()
        s3.request("PUT", "/viewfinder")

        def told(name: str) -> dict[str, Any]:
            """What a service is told, and where its stores are here."""
            given: dict[str, str] = dict(services()[name]["environment"])
            inside = given["VIEWFINDER_DATABASE__URL"]
            for old, new in (
                (inside, database),
                ("@redis:6379", f"@127.0.0.1:{redis.port}"),
                ("@cache:6379", f"@127.0.0.1:{cache.port}"),
                ("http://s3:7070", s3.url),
            ):
                given = {key: value.replace(old, new) for key, value in given.items()}
            for key, value in given.items():
                if not key.startswith(_PREFIX):
                    monkeypatch.setenv(key, value)
            return {
                key.removeprefix(_PREFIX): value
                for key, value in given.items()
                if key.startswith(_PREFIX)
            }

        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert migrate(folders["key"], database).returncode == 0
        settings = {**told("server"), "AUTH__ENABLED": "true"}  # as at 0.0.0.0
        server = stack.enter_context(serving(folders["server"], **settings))
        # As `docker compose exec server` does.
        made = run_command("keys", "create", "me", home=folders["server"], timeout=60, **settings)
        http = stack.enter_context(
            httpx2.Client(
                base_url=server.url,
                headers={"X-API-Key": made.stdout.strip()},
                timeout=60,
                trust_env=False,
            )
        )
        espresso = photo("espresso.jpg")
        jpeg = {"Content-Type": "image/jpeg"}
        eventually(lambda: http.get("/v1/models").status_code == 200)  # the key is known
        for _ in range(2):
            answer = http.post("/v1/classify", content=espresso, headers=jpeg)
            assert answer.json()["class"] == "espresso"
        assert int(cache.ask("DBSIZE")) > 0  # the answer
        assert int(redis.ask("DBSIZE")) > 0  # how often was asked

        prometheus = {"Authorization": f"Bearer {(folders['key'] / 'prometheus.key').read_text()}"}
        prometheus = {name: value.strip() for name, value in prometheus.items()}
        metrics = httpx2.get(f"{server.url}/metrics", headers=prometheus, trust_env=False)
        assert "viewfinder_cache_hits_total" in metrics.text
        assert httpx2.get(f"{server.url}/metrics", trust_env=False).status_code == 401

        # The server takes the job and leaves it; the worker, which shares no folder with it, works.
        job = http.post("/v1/jobs", files=[("files", ("a.jpg", espresso))]).json()
        assert any(
            path.startswith("/viewfinder/blobs/") for method, path in s3.seen if method == "PUT"
        )
        worker = stack.enter_context(
            subprocess.Popen(
                [COMMAND, *services()["worker"]["command"]],
                env=environment(folders["worker"], **told("worker")),
                stderr=subprocess.DEVNULL,
            )
        )
        stack.callback(worker.kill)
        eventually(lambda: http.get(f"/v1/jobs/{job['id']}").json()["state"] == "succeeded")
        results = http.get(f"/v1/jobs/{job['id']}/results").json()["results"]
        assert results[0]["result"]["class"] == "espresso"

        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert server.stop() == 0
