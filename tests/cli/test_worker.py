"""`viewfinder worker --port`: what works on jobs shows how it is, and what it has done."""

import contextlib
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from tests.support import Server, eventually, fake_bundle, grey, run_command, serving, working

_FAKE: dict[str, Any] = {
    "DEFAULT_MODEL": "fake",
    "CACHE__ENABLED": "false",
    "JOBS__RUN": "false",
}
# Several are done in what is granted to images in work.
_IMAGE_MS, _IMAGES = 400, 40


@contextlib.contextmanager
def asked(
    home: Path, *arguments: str, **settings: object
) -> Iterator[tuple[Server, httpx2.Client]]:
    """A worker process, and a client of it."""
    with (
        working(home, *arguments, **_FAKE, **settings) as worker,
        httpx2.Client(base_url=worker.url, trust_env=False, timeout=30) as client,
    ):
        yield worker, client


def _figure(client: httpx2.Client, name: str, **labels: str) -> float:
    """The sum of the series of a metric with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _parts(client: httpx2.Client) -> dict[str, float]:
    """The parts of the process that its metrics name, and whether each is ready."""
    return {
        sample.labels["part"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "viewfinder_part_ready"
    }


def _job(server: httpx2.Client, images: int) -> str:
    """A job, accepted by a server."""
    files = [("files", (f"{n}.png", grey(10 * n), "image/png")) for n in range(images)]
    answer = server.post("/v1/jobs", files=files)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _look(server: httpx2.Client, job: str) -> dict[str, Any]:
    looked: dict[str, Any] = server.get(f"/v1/jobs/{job}").json()
    return looked


def test_a_worker_counts_what_it_does_for_jobs(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, **_FAKE) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as accepting,
        asked(tmp_path) as (_, client),
    ):
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        # No model is the worker's own: that none is in memory yet is nothing that it lacks.
        assert ready.json()["parts"].keys() == {"compute", "results", "jobs"}
        assert _figure(client, "viewfinder_part_ready", part="jobs") == 1
        job = _job(accepting, 5)
        eventually(lambda: _look(accepting, job)["state"] == "succeeded")
        eventually(lambda: _figure(client, "viewfinder_jobs_finished_total", state="succeeded"))
        assert _figure(client, "viewfinder_job_images_total", outcome="succeeded") == 5
        assert _figure(client, "viewfinder_predictions_total", model="fake") == 5
        assert _figure(client, "viewfinder_drift_photos", model="fake") == 5
        assert _figure(client, "process_resident_memory_bytes") > 1e6
        assert _figure(client, "requests_total", endpoint="/health/ready", status="200") == 1
        eventually(lambda: _figure(client, "viewfinder_results_written_total") == 5)


def test_it_answers_nothing_but_health_and_metrics(tmp_path: Path) -> None:
    with asked(tmp_path) as (_, client):
        for path in ("/health", "/health/live", "/health/ready"):
            assert client.get(path).status_code == 200
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
        for path in ("/", "/docs", "/openapi.json", "/v1/models", "/v1/jobs", "/classify"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert client.post("/health", content=b"x").status_code == 405
        strange = client.get("/metrics", headers={"Host": "rebound.example"})
        assert (strange.status_code, strange.json()["code"]) == (403, "forbidden")


def test_a_port_that_is_taken_is_said_before_any_work(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = run_command("worker", "--port", str(port), home=tmp_path, **_FAKE)
    assert worker.returncode == 1
    assert f"port {port} is taken" in worker.stderr
    assert "Traceback" not in worker.stderr
    assert "Working on jobs" not in worker.stderr


def test_where_keys_are_asked_for_metrics_need_one(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("prometheus-asks-" * 3)
    settings = {"AUTH__ENABLED": "true", "AUTH__BOOTSTRAP_KEY_FILE": key}
    with asked(tmp_path, **settings) as (_, client):
        assert client.get("/health/ready").status_code == 200
        assert client.get("/metrics").status_code == 401
        shown = {"Authorization": f"Bearer {key.read_text()}"}
        assert client.get("/metrics", headers=shown).status_code == 200


def test_keys_that_cannot_be_looked_at_are_among_the_metrics(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("prometheus-asks-" * 3)
    settings = {"AUTH__ENABLED": "true", "AUTH__BOOTSTRAP_KEY_FILE": key, "AUTH__REFRESH_S": 0.1}
    with asked(tmp_path, **settings) as (_, client):
        client.headers["X-API-Key"] = key.read_text()
        assert "keys" not in _parts(client)
        (tmp_path / "viewfinder.db").rename(tmp_path / "away.db")
        eventually(lambda: _parts(client).get("keys") == 0)


def test_a_worker_without_its_database_is_not_ready_until_it_is_back(tmp_path: Path) -> None:
    database, away = tmp_path / "viewfinder.db", tmp_path / "away.db"
    with asked(tmp_path, METRICS__ENABLED="false") as (_, client):
        assert client.get("/metrics").status_code == 404, "switched off"
        assert client.get("/health/ready").status_code == 200
        database.rename(away)
        eventually(lambda: client.get("/health/ready").status_code == 503)
        problem = client.get("/health/ready").json()
        assert (problem["code"], problem["detail"]) == (
            "not_ready",
            "The database cannot be reached.",
        )
        assert client.get("/health/live").status_code == 200
        away.rename(database)
        eventually(lambda: client.get("/health/ready").status_code == 200)


def test_told_to_stop_it_says_so_while_the_images_in_work_are_done(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", milliseconds=_IMAGE_MS)
    with (
        serving(tmp_path, **_FAKE) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as accepting,
    ):
        job = _job(accepting, _IMAGES)
        with asked(tmp_path, "--threads", "1") as (worker, client):
            eventually(lambda: _look(accepting, job)["counts"]["succeeded"])
            before = _look(accepting, job)["counts"]["succeeded"]
            worker.process.send_signal(signal.SIGTERM)
            eventually(lambda: client.get("/health/ready").status_code == 503)
            assert "about to stop" in client.get("/health/ready").json()["detail"]
            assert client.get("/health/live").status_code == 200
            assert worker.process.wait(30) == 0
            assert "Traceback" not in "\n".join(worker.lines)
        counts = _look(accepting, job)["counts"]
        assert before < counts["succeeded"] < _IMAGES
        assert counts["failed"] == 0
        with contextlib.closing(sqlite3.connect(tmp_path / "viewfinder.db")) as database:
            given_back = database.execute("SELECT state, lease FROM jobs").fetchall()
        assert given_back == [("running", None)], "another need not wait for the lease to lapse"
