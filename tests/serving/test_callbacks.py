"""Plug-ins that hear of predictions, found as installed packages are."""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from tests.plugins import install, install_example
from tests.support import eventually, fake_bundle, grey, serving

from viewfinder.serving.callbacks import GROUP, Callbacks, CompletedPrediction, find_callbacks
from viewfinder.types import ClassScore, Prediction, ServedModel, Timing


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, for the servers that a test starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder


def _install(site: Path, name: str, source: str, **callbacks: str) -> None:
    """A package with callbacks."""
    targets = {key: f"{name}:{value}" for key, value in callbacks.items()}
    install(site, name, source, GROUP, targets)


def _classify(url: str, photo: bytes) -> httpx2.Response:
    headers = {"Content-Type": "image/png"}
    return httpx2.post(f"{url}/v1/classify", content=photo, headers=headers, trust_env=False)


def test_the_example_hears_of_every_answer_as_the_client_got_it(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_example(site, "callback")
    log = tmp_path / "audit.jsonl"
    monkeypatch.setenv("AUDIT_LOG", str(log))
    fake_bundle(tmp_path / "models")
    photos = [grey(0), grey(0), grey(255)]
    with serving(tmp_path, "--model", "fake") as server:
        answers = [_classify(server.url, photo).json() for photo in photos]
        files = [("files", photo) for photo in (grey(100), grey(0), b"no photo")]
        batch = httpx2.post(f"{server.url}/v1/batch-classify", files=files, trust_env=False)
        answers += [item["result"] for item in batch.json()["results"] if "result" in item]
        assert _classify(server.url, b"no photo").status_code == 415
        assert server.stop() == 0
    photos += [grey(100), grey(0)]
    expected = [
        {
            "id": answer["id"],
            "class": answer["class"],
            "confidence": answer["confidence"],
            "model": "fake@1",
            "cached": answer["cached"],
            "photo_bytes": len(photo),
            "photo_sha256": hashlib.sha256(photo).hexdigest(),
        }
        for answer, photo in zip(answers, photos, strict=True)
    ]
    heard = [json.loads(line) for line in log.read_text().splitlines()]
    assert heard[:3] == expected[:3]
    assert sorted(map(str, heard[3:])) == sorted(map(str, expected[3:]))
    assert [line["cached"] for line in expected] == [False, True, False, False, True]
    assert "the callback audit hears of every prediction" in "".join(server.lines)


def test_an_event_holds_no_photo(tmp_path: Path, site: Path) -> None:
    _install(
        site,
        "curious",
        """
        import pathlib, pickle

        class Curious:
            def on_prediction_complete(self, event):
                path = pathlib.Path(__file__).with_name("seen")
                path.write_bytes(pickle.dumps(event))
        """,
        curious="Curious",
    )
    fake_bundle(tmp_path / "models")
    photo = grey(200)
    with serving(tmp_path, "--model", "fake", CACHE__ENABLED="false") as server:
        identifier = _classify(server.url, photo).json()["id"]
        assert server.stop() == 0
    seen = (site / "seen").read_bytes()
    assert identifier.encode() in seen
    assert photo[-60:-20] not in seen
    assert hashlib.sha256(photo).hexdigest().encode() not in seen  # nobody needed it


def test_plug_ins_that_hang_fail_or_cannot_be_made_disturb_nobody(
    tmp_path: Path, site: Path
) -> None:
    _install(
        site,
        "trouble",
        """
        import pathlib, sys, threading

        class Hangs:
            def on_prediction_complete(self, event):
                threading.Event().wait()

        class Fails:
            def on_prediction_complete(self, event):
                raise ValueError("of its own")

        class Exits:
            def on_prediction_complete(self, event):
                sys.exit(3)

        class Unmade:
            def __init__(self):
                raise RuntimeError("no such thing")

        class Unmakeable:
            def __init__(self):
                sys.exit(4)

        class Hears:
            def on_prediction_complete(self, event):
                with pathlib.Path(__file__).with_name("heard").open("a") as file:
                    file.write(event.prediction.id + "\\n")
        """,
        hangs="Hangs",
        fails="Fails",
        exits="Exits",
        unmade="Unmade",
        unmakeable="Unmakeable",
        missing="Missing",
        hears="Hears",
    )
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake") as server:
        ids = [_classify(server.url, grey(n)).json()["id"] for n in range(20)]
        assert server.stop() == 0
    assert (site / "heard").read_text().splitlines() == ids
    log = "\n".join(server.lines)
    for name in ("unmade", "unmakeable", "missing"):
        assert f"the callback {name} cannot be used" in log
    for name in ("fails", "exits"):
        assert log.count(f"the callback {name} has failed") == 1


def test_a_package_that_cannot_be_imported_is_left_out(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _install(site, "torn", "this is not Python", torn="Torn")
    monkeypatch.syspath_prepend(site)
    assert find_callbacks() == []
    assert "the callback torn cannot be used" in caplog.text


EVENT = CompletedPrediction(
    Prediction(
        id="1",
        top=ClassScore("cat", 0, 1.0),
        classes=(),
        model=ServedModel("fake", 1, "only"),
        abstained=False,
        cached=False,
        timing=Timing(0, 0, 0, 0),
    ),
    image_bytes=1,
    image_sha256=None,
)


class Held:
    """A callback that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.heard = 0
        self.entered = threading.Event()
        self.open = threading.Event()

    def has_heard(self, count: int) -> bool:
        return self.heard == count

    def on_prediction_complete(self, _event: CompletedPrediction) -> None:
        self.entered.set()
        self.open.wait()
        self.heard += 1


@pytest.fixture
def held() -> Iterator[Held]:
    callback = Held()
    yield callback
    callback.open.set()


def test_what_a_slow_one_misses_is_counted_and_logged_once(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    quick = Held()
    quick.open.set()
    callbacks = Callbacks([("slow", held), ("quick", quick)])
    callbacks.tell(EVENT)
    assert held.entered.wait(20)
    for told in range(2, 1302):
        callbacks.tell(EVENT)
        if told % 100 == 0:
            eventually(partial(quick.has_heard, told))
    slow, _ = callbacks._listeners
    assert slow.dropped == 300
    assert caplog.text.count("the callback slow is too slow") == 1
    held.open.set()
    callbacks.close()
    assert (held.heard, quick.heard) == (1001, 1301)


def test_what_waits_at_the_end_is_still_told(held: Held) -> None:
    callbacks = Callbacks([("slow", held)])
    for _ in range(500):
        callbacks.tell(EVENT)
    assert held.entered.wait(20)
    held.open.set()
    callbacks.close()
    assert held.heard == 500


def test_the_end_does_not_wait_for_those_that_never_end(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.serving.callbacks._CLOSE_S", 0.1)
    callbacks = Callbacks([(f"slow-{number}", held) for number in range(20)])
    for _ in range(1200):
        callbacks.tell(EVENT)
    callbacks.close()  # returns
    assert held.heard == 0


def test_one_that_fails_goes_on_hearing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[CompletedPrediction] = []

    class Fails:
        def on_prediction_complete(self, event: CompletedPrediction) -> None:
            heard.append(event)
            raise OSError("the disk is full")

    callbacks = Callbacks([("fails", Fails())])
    for _ in range(100):
        callbacks.tell(EVENT)
    callbacks.close()
    assert len(heard) == 100
    assert callbacks._listeners[0].failed == 100
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
