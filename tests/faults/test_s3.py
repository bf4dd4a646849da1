"""S3 away, refusing or hanging, as the model store and as the place of blobs."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.faults.service import MANY, PATIENCE_S, Asked, asking_one, is_refused, why_not_ready
from tests.s3 import FakeS3, fake_version, running_s3
from tests.support import eventually, grey

from viewfinder.registry.store import ModelStore, open_store

STORE = {"store": "the model store cannot be read; the models known so far go on to answer"}
# From this size on, a photo's digest is taken in a thread.
LARGE = 300_000
# As many as Python has for what blocks.
THREADS = min(16, (os.cpu_count() or 1) + 4)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """An S3 of a test's own."""
    with running_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def address(s3: FakeS3, tmp_path: Path) -> str:
    """An empty bucket."""
    bucket = f"faults-{tmp_path.name.lower().replace('_', '-')[-40:]}-{os.getpid()}".strip("-")
    s3.request("PUT", bucket)
    return f"s3://{bucket}"


@pytest.fixture
def shop(address: str, tmp_path: Path) -> ModelStore:
    """Where somebody else publishes from."""
    return open_store(f"{address}/models", tmp_path / "publisher")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def _stop(s3: FakeS3) -> Callable[[], None]:
    s3.stop()
    return s3.start


def _answer(s3: FakeS3, code: str) -> Callable[[], None]:
    s3.refuse = lambda *_: code

    def mend() -> None:
        s3.refuse = lambda *_: None

    return mend


def _refuse(s3: FakeS3) -> Callable[[], None]:
    return _answer(s3, "AccessDenied")


def _fail(s3: FakeS3) -> Callable[[], None]:
    return _answer(s3, "InternalError")


def _hang(s3: FakeS3) -> Callable[[], None]:
    """Take requests, and answer none."""
    answering = threading.Event()

    def wait(*_: str) -> None:
        answering.wait(PATIENCE_S)

    s3.refuse = wait
    return answering.set


def test_models_in_memory_go_on_to_answer(
    s3: FakeS3, shop: ModelStore, address: str, home: Path, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    with asking_one(home, MODEL_STORE=f"{address}/models") as asked:
        for version, spoil in enumerate((_stop, _refuse, _fail), 2):
            asked.until_ready()
            mend = spoil(s3)
            assert asked.until_wrong("store") == STORE
            assert asked.gauges("viewfinder_store_looks_total")['outcome="failed"'] > 0
            asked.classify_many()
            answer = asked.ask("PUT", "/v1/models/fake/aliases/old", json={"version": 1})
            assert is_refused(answer)
            mend()
            shop.add(*fake_version(tmp_path, version=version))
            asked.until_ready()
            _until_answered_by(asked, version)


def _until_answered_by(asked: Asked, version: int) -> None:
    eventually(lambda: asked.classify().json()["model"]["version"] == version)


def test_a_server_starts_without_its_store_and_gets_ready_when_it_comes(
    s3: FakeS3, shop: ModelStore, address: str, home: Path, tmp_path: Path
) -> None:
    shop.add(*fake_version(tmp_path))
    mend = _refuse(s3)
    with asking_one(home, MODEL_STORE=f"{address}/models", until="is not ready") as asked:
        assert why_not_ready(asked).startswith("The model store cannot be read now")
        assert is_refused(asked.classify())
        mend()
        eventually(lambda: asked.ask("GET", "/health/ready").status_code == 200)
        asked.until_ready()
        assert asked.classify().status_code == 200
    _stop(s3)
    with asking_one(home, MODEL_STORE=f"{address}/models") as asked:  # from the copy
        assert asked.until_wrong("store") == STORE
        assert asked.classify().status_code == 200


def test_photos_are_answered_and_jobs_wait_while_blobs_are_away(
    s3: FakeS3, address: str, home: Path
) -> None:
    settings: dict[str, Any] = {
        "BLOBS__URL": f"{address}/blobs",
        "RECORD": "images",
        "JOBS__RUN": False,
    }
    files = [("files", grey(n)) for n in range(3)]
    with asking_one(home, **settings) as asked:
        first = asked.classify().json()["id"]
        image = f"/v1/results/{first}/image"
        eventually(lambda: asked.ask("GET", image).status_code == 200)
        job = asked.ask("POST", "/v1/jobs", files=files).json()["id"]
    settings["JOBS__RUN"] = True
    mend = _fail(s3)
    with asking_one(home, **settings) as asked:
        asked.classify_many()
        wrong = asked.until_wrong("results")["results"]
        assert wrong.startswith("images cannot be stored; ")
        assert is_refused(asked.ask("GET", image))
        assert is_refused(asked.ask("DELETE", f"/v1/results/{first}"))
        assert is_refused(asked.ask("POST", "/v1/jobs", files=files), "overloaded")
        state = asked.ask("GET", f"/v1/jobs/{job}").json()
        assert (state["state"] in {"queued", "running"}, state["counts"]["failed"]) == (True, 0)
        mend()
        eventually(lambda: asked.ask("GET", f"/v1/jobs/{job}").json()["state"] == "succeeded")
        assert asked.ask("GET", f"/v1/jobs/{job}").json()["counts"]["succeeded"] == 3
        assert asked.ask("GET", image).status_code == 200
        assert asked.ask("POST", "/v1/jobs", files=files).status_code == 202
        assert asked.gauges("viewfinder_result_images_lost_total")[""] >= 1
        assert asked.gauges("viewfinder_results_lost_total")[""] == 0


def test_who_waits_for_blobs_that_hang_takes_no_thread_from_others(
    s3: FakeS3, address: str, home: Path
) -> None:
    settings: dict[str, Any] = {
        "BLOBS__URL": f"{address}/blobs",
        "RECORD": "images",
        "CACHE__ENABLED": True,
    }
    with asking_one(home, **settings) as asked:
        first = asked.classify().json()["id"]
        image = f"/v1/results/{first}/image"
        eventually(lambda: asked.ask("GET", image).status_code == 200)
        before, began = len(s3.seen), time.monotonic()
        mend = _hang(s3)
        try:
            with ThreadPoolExecutor(MANY) as threads:
                waiting = [threads.submit(asked.ask, "GET", image) for _ in range(MANY)]
                eventually(lambda: len(s3.seen) - before >= THREADS)
                for number in range(3):
                    photo = grey(number) + b"\0" * LARGE
                    assert asked.classify(photo).status_code == 200
                assert not any(answer.done() for answer in waiting)
                assert all(is_refused(answer.result()) for answer in waiting)
            answers = [asked.ask("GET", image) for _ in range(MANY)]
            assert all(is_refused(answer) for answer in answers)
            assert time.monotonic() - began < 2 * PATIENCE_S  # each waiting: five minutes
        finally:
            mend()
        eventually(lambda: asked.ask("GET", image).status_code == 200)
