"""Every operation, with both clients, against a real server process and the real model."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.client.asking import KINDS, NEVER_AGAIN, Asker, asker
from tests.support import (
    PHOTOS,
    Server,
    environment,
    fake_bundle,
    free_port,
    grey,
    photo,
    run_command,
    serving,
)

import viewfinder
from viewfinder.client.photos.forms import FilePart, Form
from viewfinder.errors import (
    ConflictError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidParameterError,
    JobNotFoundError,
    ModelNotFoundError,
    NotReadyError,
    PayloadTooLargeError,
    RemoteError,
    ResultNotFoundError,
    UnauthenticatedError,
    UnsupportedMediaTypeError,
    UrlFetchDisabledError,
    VersionNotFoundError,
    ViewfinderError,
)
from viewfinder.types import Photo, Prediction

BUILTIN = "efficientnet-lite0"
PATHS = sorted(PHOTOS.glob("*.jpg"))
LABELS = ["Egyptian cat", "espresso", "missile", "running shoe", "sandal"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    for version in (1, 2):
        fake_bundle(folder / "models", "fake", version)
    fake_bundle(folder / "models", "slow", milliseconds=200)
    return folder


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Server]:
    with serving(home, THREADS=2) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def ask(request: pytest.FixtureRequest, running: Server) -> Iterator[Asker]:
    with asker(request.param, running.url + "/", timeout_s=60) as made:
        yield made


@pytest.fixture(scope="module")
def here() -> Iterator[viewfinder.Classifier]:
    with viewfinder.Classifier.load(BUILTIN, threads=1) as classifier:
        yield classifier


def test_an_answer_is_the_classifiers_to_the_last_bit(
    ask: Asker, here: viewfinder.Classifier
) -> None:
    for path in PATHS:
        alone = here(path, top_k=100)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
            given: list[Photo] = [path, str(path), path.read_bytes(), image.copy(), pixels]
            same = [alone] * 3 + [here(one, top_k=100) for one in given[3:]]
        for one, expected in zip(given, same, strict=True):
            prediction = ask.classify(one, top_k=100)
            assert isinstance(prediction, Prediction)
            assert prediction.classes == expected.classes
            assert prediction.top == expected.top
            assert prediction.model == expected.model
            assert prediction.abstained == expected.abstained


def test_a_heat_map_is_the_classifiers(ask: Asker, here: viewfinder.Classifier) -> None:
    there = ask.classify(PATHS[1], explain="heatmap").explanation
    expected = here(PATHS[1], explain="heatmap").explanation
    assert expected is not None
    assert (there.method, there.label, there.index) == (
        expected.method,
        expected.label,
        expected.index,
    )
    assert there.box == expected.box
    assert np.allclose(there.values, expected.values, atol=0.0005)


def test_the_options_of_one_photo(ask: Asker, here: viewfinder.Classifier) -> None:
    assert len(ask.classify(PATHS[0], top_k=2).classes) == 2
    assert ask.classify(PATHS[0], model="fake@1").model.name == "fake"
    for least in (0.2, 0.99):
        there = ask.classify(PATHS[0], min_confidence=least)
        expected = here(PATHS[0], min_confidence=least)
        assert (there.top, there.classes) == (expected.top, expected.classes)


@pytest.mark.parametrize(
    "wrong", [{"top_k": 0}, {"top_k": 101}, {"min_confidence": -1}, {"min_confidence": 2}]
)
def test_an_option_out_of_its_range_is_refused_here(ask: Asker, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        ask.classify(b"x", **wrong)
    for method in (ask.classify_many, ask.classify_batch, ask.submit):
        with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
            method([b"x"], **wrong)


def test_what_is_no_photo_is_refused_as_by_the_classifier(ask: Asker, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        ask.classify(tmp_path / "nothing.jpg")
    with pytest.raises(TypeError, match="a photo is a path"):
        ask.classify(3)
    with pytest.raises(ValueError, match="uint8"):
        ask.classify(np.zeros((4, 4)))
    with pytest.raises(TypeError, match="not both"):
        ask.classify()
    with pytest.raises(TypeError, match="not both"):
        ask.classify(b"x", url="http://example.com/x.jpg")


def test_an_error_is_of_the_servers_class_with_its_request_id(ask: Asker) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        ask.classify(b"no photo")
    error = caught.value
    assert (error.code, error.status) == ("unsupported_media_type", 415)
    assert len(error.request_id or "") == 36
    with pytest.raises(UrlFetchDisabledError):
        ask.classify(url="http://example.com/x.jpg")
    with pytest.raises(ModelNotFoundError, match="no model 'nope'"):
        ask.classify(PATHS[0], model="nope")
    with pytest.raises(PayloadTooLargeError):
        ask.classify(b"\xff\xd8\xff" * 4_000_000)


def test_many_photos_come_in_their_order(ask: Asker, tmp_path: Path) -> None:
    answers = ask.classify_many(PATHS * 4)
    assert [answer.top.label for answer in answers] == LABELS * 4
    bad = [PATHS[0], b"no", tmp_path / "nothing.jpg", PATHS[1]]
    first, refused, missing, last = ask.classify_many(bad, on_error="return")
    assert (first.top.label, last.top.label) == tuple(LABELS[:2])
    assert isinstance(refused, UnsupportedMediaTypeError)
    assert isinstance(missing, FileNotFoundError)
    with pytest.raises(UnsupportedMediaTypeError):
        ask.classify_many(bad)
    with pytest.raises(InvalidParameterError, match="on_error"):
        ask.classify_many(bad, on_error="ignore")


def test_a_batch_tells_answers_from_errors(ask: Asker) -> None:
    with Image.open(PATHS[2]) as image:
        answers = ask.classify_batch([PATHS[0], b"no", photo("espresso.jpg"), image], top_k=1)
    assert [getattr(one, "code", None) for one in answers] == [
        None,
        "unsupported_media_type",
        None,
        None,
    ]
    assert [answers[n].top.label for n in (0, 2, 3)] == LABELS[:3]
    assert isinstance(answers[1], UnsupportedMediaTypeError)
    assert answers[0].classes == (answers[0].top,)
    (unsure,) = ask.classify_batch([PATHS[0]], min_confidence=0.99)
    assert (unsure.top.label, unsure.classes) == (LABELS[0], ())
    with pytest.raises(FileNotFoundError):
        ask.classify_batch([Path("nothing.jpg")])
    assert ask.live().status == "ok"


def test_a_job_from_beginning_to_end(ask: Asker) -> None:
    job = ask.submit([*PATHS, b"no"], top_k=2)
    assert job.state in {"queued", "running"}
    assert job.counts.total == 6
    done = ask.wait(job.id, 60)
    assert (done.state, done.is_over) == ("succeeded", True)
    assert (done.counts.succeeded, done.counts.failed) == (5, 1)
    assert ask.job(job.id) == done
    results = ask.job_results(job.id)
    assert [one.filename for one in results] == [*(path.name for path in PATHS), "5"]
    assert [one.outcome.top.label for one in results[:5]] == LABELS
    (failed,) = ask.job_results(job.id, failed=True)
    assert isinstance(failed.outcome, UnsupportedMediaTypeError)
    assert len(ask.job_results(job.id, failed=False)) == 5
    with pytest.raises(ConflictError):
        ask.cancel(job.id)
    with pytest.raises(JobNotFoundError):
        ask.job("nothing")


def test_a_job_of_an_archive(ask: Asker, tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in PATHS[:2]:
            archive.write(path, path.name)
    path = tmp_path / "two.zip"
    path.write_bytes(file.getvalue())
    for given in (path, str(path), file.getvalue()):
        job = ask.wait(ask.submit(archive=given, min_confidence=0.99).id, 60)
        assert job.counts.succeeded == 2
        (unsure, _) = ask.job_results(job.id)
        assert (unsure.outcome.top.label, unsure.outcome.top.index) == (LABELS[0], -1)


def test_a_job_is_made_of_one_thing(ask: Asker) -> None:
    with pytest.raises(UrlFetchDisabledError):
        ask.submit(urls=["https://example.com/1.jpg"])
    with pytest.raises(TypeError, match="one of them"):
        ask.submit()
    with pytest.raises(TypeError, match="one of them"):
        ask.submit([b"x"], urls=["https://example.com/1.jpg"])
    with pytest.raises(FileNotFoundError):
        ask.submit([Path("nothing.jpg")])


def test_a_job_sent_again_with_its_key_is_the_same_job(ask: Asker) -> None:
    key = f"{ask.client!r}-{datetime.now(UTC)}".replace(" ", "")
    first, second = (ask.submit([PATHS[0]], idempotency_key=key) for _ in range(2))
    assert first.id == second.id
    assert ask.submit([PATHS[0]]).id != first.id
    with pytest.raises(IdempotencyKeyReusedError):
        ask.submit([PATHS[1]], idempotency_key=key)


def test_lists_come_with_all_their_pages(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.client.pages._LENGTH", 2)
    made = [ask.submit([PATHS[0]] * 3).id for _ in range(3)]
    for job in made:
        ask.wait(job, 60)
    assert [job.id for job in ask.jobs()][:3] == made[::-1]
    assert {job.state for job in ask.jobs("succeeded")} == {"succeeded"}
    assert [one.index for one in ask.job_results(made[0])] == [0, 1, 2]
    first, *_ = ask.classify_many(PATHS)
    assert ask.result(first.id).label == LABELS[0]
    since = datetime.now(UTC) - timedelta(hours=1)
    assert len(ask.results(since=since, label="sandal")) >= 1
    assert {one.label for one in ask.results(model=BUILTIN, min_confidence=0.0)} >= set(LABELS)


def test_a_job_can_be_called_off(ask: Asker) -> None:
    job = ask.submit([grey(number) for number in range(250)], model="slow")
    with pytest.raises(ViewfinderError, match="it goes on"):
        ask.wait(job.id, 0.5)
    assert ask.cancel(job.id).state == "cancelled"
    assert ask.wait(job.id, 60).state == "cancelled"


def test_models_and_their_versions(ask: Asker) -> None:
    models = ask.models()
    assert models.default == BUILTIN
    assert {"fake", BUILTIN} <= {model.name for model in models.models}
    assert ask.model("fake").versions[-1].version in {1, 2}
    version = ask.version(BUILTIN, 1)
    assert (version.labels_count, version.input.width) == (1000, 224)
    assert version.variants[0].recommended
    labels = ask.labels(BUILTIN)
    assert labels[285].label == "Egyptian cat"
    assert len(ask.labels("fake", 1)) == 16
    with pytest.raises(VersionNotFoundError):
        ask.version("fake", 99)
    for elsewhere in ("../../etc/passwd", "..", ".", "", "fake/versions/1"):
        with pytest.raises(InvalidParameterError, match="no name, and no id"):
            ask.model(elsewhere)
    for unknown in ("fake?x=1", "fake#x", "\u00e9", "%2e%2e", "a b"):
        with pytest.raises(ModelNotFoundError):
            ask.model(unknown)


def test_an_alias_is_set_and_rolled_back(ask: Asker) -> None:
    for number in (1, 2):
        assert ask.set_alias("fake", "stable", number).aliases["stable"] == number
    assert ask.model("fake").rollback == 1
    assert ask.rollback("fake").aliases["stable"] == 1
    with pytest.raises(VersionNotFoundError):
        ask.set_alias("fake", "stable", 99)


def test_results_and_what_people_say_of_them(ask: Asker) -> None:
    given = ask.classify(PATHS[4])
    result = ask.result(given.id)
    assert (result.label, result.image.bytes) == ("sandal", PATHS[4].stat().st_size)
    reviewed = ask.feedback(given.id, "flip-flop", "the left one")
    assert (reviewed.feedback.label, reviewed.feedback.note) == ("flip-flop", "the left one")
    assert not reviewed.feedback.correct
    found = ask.results(reviewed=True, label="sandal", order="oldest")
    assert given.id in [one.id for one in found]
    accuracy = ask.live_accuracy(BUILTIN, since=datetime(2026, 1, 1, tzinfo=UTC))
    assert accuracy.versions[0].reviewed >= 1
    assert accuracy.versions[0].confusions[0].label == "flip-flop"
    with pytest.raises(ResultNotFoundError):
        ask.result("nothing")
    with pytest.raises(InvalidParameterError, match="time zone"):
        ask.results(since=datetime.fromisoformat("2026-01-01T00:00:00"))


def test_how_the_service_is(ask: Asker) -> None:
    assert ask.live().version == viewfinder.__version__
    ready = ask.ready()
    assert (ready.status, ready.parts["model"], ready.can_answer) == ("ready", "ready", True)


def test_a_server_that_cannot_answer_says_so(tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models", "broken").folder / "graph.json").write_text("{}")
    with serving(tmp_path, DEFAULT_MODEL="broken", until="listening|running|http://") as server:
        for kind in KINDS:
            with asker(kind, server.url, retries=NEVER_AGAIN) as ask:
                ready = ask.ready()
                assert (ready.status, ready.parts) == ("not_ready", {})
                assert "'broken'" in (ready.detail or "")
                with pytest.raises(NotReadyError):
                    ask.classify(PATHS[0])


def test_keys_open_what_they_are_for(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    made = run_command("keys", "create", "shop", "--scope", "classify", home=tmp_path)
    key = made.stdout.split()[-1]
    settings = {"AUTH__ENABLED": "true", "DEFAULT_MODEL": "fake"}
    with serving(tmp_path, **settings) as server:
        for kind in KINDS:
            for wrong in (None, "not-a-key-of-anybody-in-this-world"):
                with (
                    asker(kind, server.url, key=wrong) as ask,
                    pytest.raises(UnauthenticatedError) as caught,
                ):
                    ask.classify(PATHS[0])
                assert caught.value.status == 401
                assert str(wrong) not in str(caught.value)
            with asker(kind, server.url, key=key) as ask:
                assert ask.classify(PATHS[0]).model.name == "fake"
                assert key not in repr(ask.client)
                with pytest.raises(ForbiddenError, match="manage"):
                    ask.set_alias("fake", "stable", 1)
                assert ask.live().status == "ok"


def test_nothing_is_read_from_the_environment(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWFINDER_API_KEY", "a-key-of-thirty-two-characters-or-more")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for kind in KINDS:
        with asker(kind, running.url) as ask:
            assert ask.live().status == "ok"


def test_a_closed_client_asks_nobody(running: Server) -> None:
    for kind in KINDS:
        with asker(kind, running.url) as ask:
            ask.close()
            ask.close()
            with pytest.raises(NotReadyError, match="closed"):
                ask.classify(PATHS[0])
            with pytest.raises(NotReadyError, match="closed"):
                ask.live()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "here:8000"}, "url: give an address such as"),
        ({"url": "ftp://here"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://here/?q=1"}, "url"),
        ({"url": "http://me:secret@here"}, "no user name"),
        ({"key": "two words"}, "key: give the key alone"),
        ({"key": "secret\n"}, "key"),
        ({"key": "s\u00e9cret"}, "key"),
        ({"key": ""}, "key"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"resize": 0}, "resize"),
        ({"at_once": 0}, "at_once"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: str, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        getattr(viewfinder, kind)(**wrong)
    assert "secret" not in str(caught.value)
    assert "s\u00e9cret" not in str(caught.value)


def test_a_timeout_of_one_call_is_looked_at(ask: Asker) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        ask.classify(PATHS[0], timeout_s=-1)


def test_a_name_of_a_file_cannot_end_its_part() -> None:
    form = Form("b", [FilePart("files", 'a"\r\nX: y\udcff.jpg', lambda: b"data")])
    written = b"".join(form.pieces())
    assert b'filename="a%22%0D%0AX: y?.jpg"\r\n' in written
    assert written == b"".join(form.pieces())
    assert form.content_type == "multipart/form-data; boundary=b"


def test_a_port_where_nobody_listens_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for kind in KINDS:
        with (
            asker(kind, url, retries=NEVER_AGAIN) as ask,
            pytest.raises(RemoteError, match=f"no server can be reached at {url}; start it") as no,
        ):
            ask.classify(PATHS[0])
        assert no.value.status is None


def test_importing_the_clients_brings_nothing_heavy(running: Server, tmp_path: Path) -> None:
    program = f"""
import sys
import viewfinder
heavy = ["numpy", "PIL", "ai_edge_litert", "tensorflow", "sqlalchemy", "fastapi", "starlette"]
heavy += ["viewfinder.settings", "viewfinder.registry", "viewfinder.imaging"]
with viewfinder.Client({running.url!r}) as client:
    assert client.classify({str(PATHS[1])!r}).top.label == "espresso"
assert viewfinder.AsyncClient and viewfinder.Retries
assert not [name for name in heavy if name in sys.modules]
"""
    subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=True,
        env=environment(tmp_path),
        timeout=120,
    )
