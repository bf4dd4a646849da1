"""Neither a job nor its callback is lost, whoever is killed."""

import contextlib
import http.server
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook
from tests.support import (
    COMMAND,
    FULL,
    environment,
    eventually,
    fake_bundle,
    free_port,
    grey,
)

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

JOBS, KILLS, IMAGES = 1000, 20, 3

pytestmark = pytest.mark.skipif(not FULL, reason="takes long: make soak")


@dataclass
class Receiver:
    """Takes callbacks, and checks who signed them.

    Attributes:
        port: Where it listens.
        secret: What they are signed with.
        calls: The job and the id of each call.
    """

    port: int = 0
    secret: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def take(self, headers: dict[str, str], body: bytes) -> None:
        try:
            event = Webhook(self.secret).verify(body, headers)
        except Exception as error:
            self.wrong.append(repr(error))
            raise
        self.calls.append((event["data"]["id"], headers["webhook-id"]))

    @property
    def jobs(self) -> set[str]:
        return {job for job, _ in self.calls}


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()


class Kept:
    """A process that is started again whenever it is killed."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self._environment, self._log, self._arguments = environment, log, arguments
        self._process = self._start()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        self._process = self._start()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [COMMAND, *self._arguments], env=self._environment, stderr=log, stdout=log
            )


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> dict[str, object]:
    """The setting that leads to an empty database of either kind."""
    if request.param == "sqlite":
        return {}
    server: PostgresServer = request.getfixturevalue("postgres")
    return {"DATABASE__URL": server.new_database()}


def test_killed_again_and_again_no_job_and_no_callback_is_lost(
    tmp_path: Path, database: dict[str, object]
) -> None:
    fake_bundle(tmp_path / "models", milliseconds=5)
    port = free_port()
    with receiving() as receiver:
        settings: dict[str, object] = {
            "DEFAULT_MODEL": "fake",
            "CACHE__ENABLED": "false",
            "JOBS__LEASE_S": 2,
            "WEBHOOKS__ALLOW_PRIVATE": "true",
            "WEBHOOKS__PORTS": receiver.port,
            **database,
        }
        given = environment(tmp_path, **settings)
        _command(given, "db", "upgrade")
        receiver.secret = _command(given, "keys", "webhook-secret")
        server = Kept(given, tmp_path / "server.log", "serve", "--port", str(port))
        worker = Kept(given, tmp_path / "worker.log", "worker")
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                made = _submit_all(client, receiver.port, (server, worker))
                assert len(made) == JOBS
                eventually(lambda: receiver.jobs >= made, within=1200)
                _check(client, made)
            _check_callbacks(receiver)
        finally:
            codes = server.stop(), worker.stop()
        assert codes == (0, 0)
    assert not list((tmp_path / "blobs").rglob("*.*")), "the images of a job go when it ends"
    assert not list((tmp_path / "blobs" / "jobs").glob("*/*")), "the images of a job go"


def _command(given: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [COMMAND, *arguments], env=given, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def _submit_all(client: httpx2.Client, port: int, processes: tuple[Kept, Kept]) -> set[str]:
    """Submit the jobs, each as often as it takes, while the processes are killed in turns."""
    made: set[str] = set()
    files = [("files", (f"{n}.png", grey(100 * n), "image/png")) for n in range(IMAGES)]
    every = max(1, JOBS // KILLS)
    for number in range(JOBS):
        if number % every == every // 2:
            processes[(number // every) % 2].kill()
        answer = _persistently(
            partial(
                client.post,
                "/v1/jobs",
                files=files,
                data={"callback_url": f"http://127.0.0.1:{port}/done"},
                headers={"Idempotency-Key": f"job-{number}"},
                timeout=20,
            )
        )
        assert answer.status_code == 202, answer.text
        made.add(answer.json()["id"])
    return made


def _persistently(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """What is answered, by a server that dies now and then."""
    answers: list[httpx2.Response] = []

    def answered() -> bool:
        with contextlib.suppress(httpx2.TransportError):
            answer = ask()
            if answer.status_code < 500:
                answers.append(answer)
        return bool(answers)

    eventually(answered, within=120)
    return answers[0]


def _check(client: httpx2.Client, made: set[str]) -> None:
    """Every job is there once, whole."""
    listed: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query: dict[str, str | int] = {"limit": 200, **({"cursor": cursor} if cursor else {})}
        page = _persistently(partial(client.get, "/v1/jobs", params=query)).json()
        listed += page["jobs"]
        cursor = page["next"]
    assert Counter(job["id"] for job in listed) == Counter(made)
    for job in listed:
        assert job["state"] == "succeeded", job
        assert job["counts"] == {"total": IMAGES, "succeeded": IMAGES, "failed": 0, "waiting": 0}
    some = sorted(made)[:: max(1, len(made) // 20)]
    for job_id in some:
        page = client.get(f"/v1/jobs/{job_id}/results").json()
        assert [item["index"] for item in page["results"]] == [*range(IMAGES)]
        assert all("result" in item for item in page["results"])


def _check_callbacks(receiver: Receiver) -> None:
    assert receiver.wrong == []
    ids = Counter(call for _, call in receiver.calls)
    assert len(ids) == JOBS, "one id for each job, however often it came"
    again = len(receiver.calls) - JOBS

    assert again <= JOBS // 100
