"""The receiver of `examples/webhook`, called by a real server, a forger and a parrot."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook
from tests.plugins import EXAMPLES
from tests.support import eventually, fake_bundle, grey, run_command, serving

BODY = '{"type": "job.succeeded", "data": {"id": "x", "counts": {"succeeded": 1, "total": 1}}}'


class Receiver:
    """The example, running; `lines` are what it has said by its end."""

    def __init__(self, process: "subprocess.Popen[str]", secret: str) -> None:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None
        self.secret, self.port = secret, int(found[1])
        self._process = process

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"

    def post(self, body: str, **headers: str) -> int:
        """The status that a stranger gets."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.post(
            self.url, content=body.encode(), headers=said, trust_env=False, timeout=60
        ).status_code

    def signed(self, body: str, identifier: str, when: datetime, *, secret: str = "") -> int:
        """The status of a call with a signature."""
        return self.post(
            body,
            webhook_id=identifier,
            webhook_timestamp=str(int(when.timestamp())),
            webhook_signature=Webhook(secret or self.secret).sign(identifier, when, body),
        )

    def stop(self) -> list[str]:
        """End it: all that it has said."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=30)
        return said.splitlines()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """It, with the secret of a server without keys."""
    secret = run_command("keys", "webhook-secret", home=tmp_path).stdout.strip()
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "webhook" / "receiver.py"), "0"],
        env={**os.environ, "VIEWFINDER_WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Receiver(process, secret)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=30)


def test_a_job_that_is_over_is_heard_of_once_however_often_it_is_told(
    tmp_path: Path, receiver: Receiver
) -> None:
    fake_bundle(tmp_path / "models")
    given: dict[str, Any] = {"WEBHOOKS__ALLOW_PRIVATE": "true", "WEBHOOKS__PORTS": receiver.port}
    with (
        serving(tmp_path, "--model", "fake", **given) as server,
        httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as http,
    ):
        files = [("files", ("1.png", grey(1))), ("files", ("2.png", b"no photo"))]
        job = http.post("/v1/jobs", files=files, data={"callback_url": receiver.url}).json()["id"]

        def statuses() -> list[int]:
            shown = http.get(f"/v1/jobs/{job}").json()["callback"]
            return [attempt["status"] for attempt in shown["attempts"]]

        eventually(lambda: statuses() == [204], within=60)
        assert run_command("jobs", "redeliver", job, home=tmp_path).returncode == 0
        eventually(lambda: statuses() == [204, 204], within=60)
    assert receiver.stop() == [f"job.succeeded {job}: 1 of 2"]


def test_what_is_forged_old_or_changed_is_refused_and_not_worked_on(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    other = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    assert receiver.post(BODY) == 401
    assert receiver.signed(BODY, "msg_1", now, secret=other) == 401
    assert receiver.signed(BODY, "msg_2", now - timedelta(minutes=6)) == 401
    assert receiver.signed(BODY, "msg_3", now + timedelta(minutes=6)) == 401
    genuine = Webhook(receiver.secret).sign("msg_4", now, BODY)
    stamp = str(int(now.timestamp()))
    changed = BODY.replace("succeeded", "failed")
    for body, identifier in ((changed, "msg_4"), (BODY, "msg_5")):
        assert (
            receiver.post(
                body,
                webhook_id=identifier,
                webhook_timestamp=stamp,
                webhook_signature=genuine,
            )
            == 401
        )
    assert receiver.post("x" * 1_000_001) == 413
    assert receiver.stop() == []


def test_a_genuine_call_that_somebody_repeats_is_answered_and_worked_on_no_more(
    receiver: Receiver,
) -> None:
    now = datetime.now(UTC)
    assert [receiver.signed(BODY, "msg_1", now) for _ in range(3)] == [204, 204, 204]
    assert receiver.stop() == ["job.succeeded x: 1 of 1"]
