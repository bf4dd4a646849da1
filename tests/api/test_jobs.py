"""Jobs by HTTP: sent in three ways, listed, read and called off."""

import asyncio
import concurrent.futures
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.jobs.zips import changed, zipped
from tests.support import LocalServer, eventually, fake_bundle, grey, serving_here

from viewfinder.access.keys import make_key
from viewfinder.api.schemas.jobs import JobAnswer
from viewfinder.api.v1 import jobs as routes
from viewfinder.settings import (
    AuthSettings,
    DatabaseSettings,
    FetchSettings,
    JobSettings,
    Limits,
    Settings,
)
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database, upgrade
from viewfinder.types import AccessScope

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

Files = list[tuple[str, tuple[str, bytes]]]
MOST = 20
PUBLIC = "https://example.com/"


def files(*brightness: int) -> Files:
    """Form files, of photos that the fake model answers by their brightness."""
    return [("files", (f"{number}.png", grey(number))) for number in brightness]


@contextmanager
def asked(home: Path, **given: Any) -> Iterator[tuple[LocalServer, httpx2.Client]]:
    """A server, and a client of it."""
    if not (home / "models").exists():
        for version in (1, 2):
            fake_bundle(home / "models", version=version)
    settings = Settings(home=home, default_model="fake", threads=1, **given)
    with (
        serving_here(settings) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
    ):
        yield server, http


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> DatabaseSettings:
    if request.param == "sqlite":
        return DatabaseSettings()
    server: PostgresServer = request.getfixturevalue("postgres")
    settings = DatabaseSettings(url=server.new_database())
    upgrade(Settings(database=settings))
    return settings


@pytest.fixture(scope="module")
def idle(
    database: DatabaseSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LocalServer, httpx2.Client]]:
    """A server that takes jobs and works on none."""
    with asked(
        tmp_path_factory.mktemp("idle"),
        database=database,
        jobs=JobSettings(run=False, images=MOST),
        fetch=FetchSettings(enabled=True),
        limits=Limits(image_bytes=100_000),
    ) as both:
        yield both


@pytest.fixture
def http(idle: tuple[LocalServer, httpx2.Client]) -> httpx2.Client:
    return idle[1]


@pytest.fixture
def kept(idle: tuple[LocalServer, httpx2.Client]) -> Callable[[], dict[str, int]]:
    """How many images lie there for each job."""
    server, _ = idle

    def look() -> dict[str, int]:
        blobs = server.services.settings.home / "blobs" / "jobs"
        return {job.name: len([*job.iterdir()]) for job in blobs.glob("*")}

    return look


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, httpx2.Client]]:
    """A server that works on jobs, and its home."""
    home = tmp_path_factory.mktemp("busy")
    with asked(home, limits=Limits(image_bytes=100_000)) as (_, http):
        yield home, http


def accepted(answer: httpx2.Response) -> dict[str, Any]:
    """The job that was accepted."""
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    JobAnswer.model_validate(job)
    return job


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# -- sending


def test_files_become_a_job_that_can_be_looked_at(
    http: httpx2.Client, kept: Callable[[], dict[str, int]]
) -> None:
    job = accepted(http.post("/v1/jobs", files=files(1, 2, 3)))
    assert job["state"] == "queued"
    assert job["model"] == {"name": "fake", "version": 2}
    assert job["counts"] == {"total": 3, "succeeded": 0, "failed": 0, "waiting": 3}
    assert [job[name] for name in ("started", "finished", "error", "key_id", "callback")] == 5 * [
        None
    ]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(job["created"])).total_seconds() < 60
    assert http.get(f"/v1/jobs/{job['id']}").json() == job
    assert kept()[job["id"]] == 3


def test_an_archive_becomes_a_job(http: httpx2.Client, kept: Callable[[], dict[str, int]]) -> None:
    archive = zipped({"a/1.png": grey(1), "2.png": grey(2), "__MACOSX/x": b"", ".x": b""})
    job = accepted(http.post("/v1/jobs", files={"archive": ("x.zip", archive)}))
    assert job["counts"]["total"] == 2
    assert kept()[job["id"]] == 2


def test_urls_become_a_job(http: httpx2.Client, kept: Callable[[], dict[str, int]]) -> None:
    urls = [f"{PUBLIC}{number}.jpg" for number in range(MOST)]
    job = accepted(http.post("/v1/jobs", json={"urls": urls, "callback_url": PUBLIC}))
    assert job["counts"]["total"] == MOST
    assert job["callback"]["url"] == PUBLIC
    assert job["id"] not in kept()


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"other": ("x", b"")}},
        {"files": {"archive": ("x.zip", zipped({}))}},
        {"json": {"urls": []}},
    ],
    ids=["form", "archive", "urls"],
)
def test_a_job_of_no_images_is_refused(http: httpx2.Client, sent: Any) -> None:
    answer = http.post("/v1/jobs", **sent)
    assert refused(answer) == (422, "invalid_parameter")
    assert "no images" in answer.json()["detail"]


def test_more_images_than_the_limit_are_refused_and_nothing_is_kept(
    http: httpx2.Client, kept: Callable[[], dict[str, int]]
) -> None:
    many = range(MOST + 1)
    before = kept()
    archive = zipped({str(number): b"x" for number in many})
    for sent in (
        {"files": files(*many)},
        {"files": {"archive": ("x.zip", archive)}},
        {"json": {"urls": [PUBLIC for _ in many]}},
    ):
        assert refused(http.post("/v1/jobs", **sent)) == (422, "invalid_parameter")
    assert kept() == before


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"top_k": "0"}, (422, "invalid_parameter")),
        ({"min_confidence": "nan"}, (422, "invalid_parameter")),
        ({"model": "nobody"}, (404, "model_not_found")),
        ({"model": "fake@9"}, (404, "version_not_found")),
        ({"model": "../../etc"}, (404, "model_not_found")),
        ({"callback_url": "http://127.0.0.1/"}, (422, "blocked_address")),
        ({"callback_url": "http://[::ffff:127.0.0.1]/"}, (422, "blocked_address")),
        ({"callback_url": "http://169.254.169.254/latest"}, (422, "blocked_address")),
        ({"callback_url": "http://2130706433/"}, (422, "blocked_address")),
        ({"callback_url": "http://localhost/"}, (422, "blocked_address")),
        ({"callback_url": "https://example.com:8443/"}, (422, "blocked_address")),
        ({"callback_url": "file:///etc/passwd"}, (422, "blocked_address")),
        ({"callback_url": "https://a:b@example.com/"}, (422, "blocked_address")),
    ],
)
def test_what_an_option_cannot_be_is_refused_wherever_it_stands(
    http: httpx2.Client,
    kept: Callable[[], dict[str, int]],
    fields: dict[str, str],
    error: tuple[int, str],
) -> None:
    before = kept()
    for sent in (
        {"params": fields, "files": files(1)},
        {"data": fields, "files": files(1)},
        {"json": fields | {"urls": [PUBLIC]}},
    ):
        assert refused(http.post("/v1/jobs", **sent)) == error
    assert kept() == before


def test_what_the_query_says_counts(http: httpx2.Client) -> None:
    sent = {"model": "fake@2", "callback_url": PUBLIC}
    job = accepted(http.post("/v1/jobs?model=fake@1", data=sent, files=files(1)))
    assert job["model"] == {"name": "fake", "version": 1}
    assert job["callback"]["url"] == PUBLIC


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/x", "https://localhost/x", "ftp://example.com/x", "x", ""]
)
def test_a_url_that_nobody_would_ask_spoils_the_request_and_is_named(
    http: httpx2.Client, url: str
) -> None:
    answer = http.post("/v1/jobs", json={"urls": [PUBLIC, url, PUBLIC]})
    assert refused(answer) == (422, "blocked_address")
    assert answer.json()["detail"].startswith("urls[1]: ")


def test_where_images_are_not_fetched_urls_are_forbidden(busy: tuple[Path, httpx2.Client]) -> None:
    answer = busy[1].post("/v1/jobs", json={"urls": [PUBLIC]})
    assert refused(answer) == (403, "url_fetch_disabled")


def test_files_and_an_archive_do_not_go_together(http: httpx2.Client) -> None:
    archive = ("archive", ("x.zip", zipped({"x": b"x"})))
    for sent in ([*files(1), archive], [archive, *files(1)], [archive, archive]):
        assert refused(http.post("/v1/jobs", files=sent)) == (400, "malformed_request")


def test_too_many_jobs_that_wait_are_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with asked(tmp_path, jobs=JobSettings(run=False, waiting=1)) as (_, http):
        job = accepted(http.post("/v1/jobs", files=files(1)))
        answer = http.post("/v1/jobs", files=files(1))
        assert refused(answer) == (503, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1
        assert [path.name for path in (tmp_path / "blobs/jobs").iterdir()] == [job["id"]]


# -- sending again


KEYED = {"Idempotency-Key": "one-key"}


def test_the_same_request_is_one_job_and_another_is_refused(
    http: httpx2.Client, kept: Callable[[], dict[str, int]]
) -> None:
    first = http.post("/v1/jobs?top_k=3", files=files(1, 2), headers=KEYED)
    job = accepted(first)
    assert "Idempotency-Replayed" not in first.headers
    before = kept()
    again = http.post("/v1/jobs", files=files(1, 2), data={"top_k": "3"}, headers=KEYED)
    assert accepted(again) == job
    assert again.headers["Idempotency-Replayed"] == "true"
    renamed = [("files", ("other.png", grey(1))), *files(2)]
    for other in (files(1, 3), files(2, 1), files(1), renamed):
        answer = http.post("/v1/jobs?top_k=3", files=other, headers=KEYED)
        assert refused(answer) == (422, "idempotency_key_reused")
    for query in ("top_k=4", "top_k=3&model=fake@1", "top_k=3&min_confidence=0.5"):
        answer = http.post(f"/v1/jobs?{query}", files=files(1, 2), headers=KEYED)
        assert refused(answer) == (422, "idempotency_key_reused")
    assert kept() == before


def test_archives_and_urls_are_known_again_too(http: httpx2.Client) -> None:
    def archive(*names: str) -> Any:
        return {"files": {"archive": ("x.zip", zipped({name: name.encode() for name in names}))}}

    for key, sent, other in (
        ("zip", archive("a", "b"), archive("a", "c")),
        ("urls", {"json": {"urls": [PUBLIC]}}, {"json": {"urls": [f"{PUBLIC}x"]}}),
    ):
        headers = {"Idempotency-Key": key}
        job = accepted(http.post("/v1/jobs", **sent, headers=headers))
        assert accepted(http.post("/v1/jobs", **sent, headers=headers)) == job
        answer = http.post("/v1/jobs", **other, headers=headers)
        assert refused(answer) == (422, "idempotency_key_reused")


def test_of_many_at_once_one_becomes_a_job(
    http: httpx2.Client, kept: Callable[[], dict[str, int]]
) -> None:
    before, headers = kept().keys(), {"Idempotency-Key": "many"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sending = [
            pool.submit(http.post, "/v1/jobs", files=files(1, 2), headers=headers) for _ in range(8)
        ]
        answers = [one.result() for one in sending]
    assert len({accepted(answer)["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 7
    assert len(kept().keys() - before) == 1


def test_a_key_of_another_form_is_refused(http: httpx2.Client) -> None:
    for headers in ([("Idempotency-Key", "a"), ("Idempotency-Key", "b")], {"Idempotency-Key": ""}):
        answer = http.post("/v1/jobs", files=files(1), headers=headers)
        assert refused(answer) == (422, "invalid_parameter")


def test_after_a_restart_the_request_is_still_known(tmp_path: Path) -> None:
    jobs = JobSettings(run=False)
    with asked(tmp_path, jobs=jobs) as (_, http):
        job = accepted(http.post("/v1/jobs", files=files(1), headers=KEYED))
    with asked(tmp_path, jobs=jobs) as (_, http):
        assert accepted(http.post("/v1/jobs", files=files(1), headers=KEYED)) == job


# -- looking


def test_pages_have_every_job_once_newest_first(http: httpx2.Client) -> None:
    sent = [accepted(http.post("/v1/jobs", files=files(1)))["id"] for _ in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while len(found) < 5:
        page = http.get("/v1/jobs", params={"limit": "2", **cursor}).json()
        assert len(page["jobs"]) == 2
        found += [job["id"] for job in page["jobs"]]
        cursor = {"cursor": page["next"]}
    assert found[:5] == sent[::-1]
    whole = http.get("/v1/jobs?limit=1000").json()
    assert whole["next"] is None
    assert [job["id"] for job in whole["jobs"]][:5] == sent[::-1]


def test_jobs_of_one_state_can_be_asked_for(http: httpx2.Client) -> None:
    job = accepted(http.post("/v1/jobs", files=files(1)))["id"]
    http.delete(f"/v1/jobs/{job}")
    page = http.get("/v1/jobs?state=cancelled&limit=1").json()
    assert [one["id"] for one in page["jobs"]] == [job]
    assert http.get("/v1/jobs?state=failed").json() == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=%00", "cursor=", "cursor=Li4v", "limit=0", "limit=1001", "state=x"],
)
def test_a_broken_question_for_a_list_is_refused(http: httpx2.Client, query: str) -> None:
    job = accepted(http.post("/v1/jobs", files=files(1)))["id"]
    assert refused(http.get(f"/v1/jobs?{query}")) == (422, "invalid_parameter")
    if not query.startswith("state"):
        answer = http.get(f"/v1/jobs/{job}/results?{query}")
        assert refused(answer) == (422, "invalid_parameter")


@pytest.mark.parametrize("job", ["x", "%00", "%ff", "01a20741-03c5-75a6-9a0e-1c4fb7ea7f1a"])
def test_a_job_that_is_not_there_is_not_found(http: httpx2.Client, job: str) -> None:
    for answer in (
        http.get(f"/v1/jobs/{job}"),
        http.get(f"/v1/jobs/{job}/results"),
        http.get(f"/v1/jobs/{job}/results", headers={"Accept": "application/x-ndjson"}),
        http.delete(f"/v1/jobs/{job}"),
    ):
        assert refused(answer) == (404, "job_not_found")


# -- results


def finished(http: httpx2.Client, job: str) -> dict[str, Any]:
    """The job, once it is over."""
    eventually(lambda: http.get(f"/v1/jobs/{job}").json()["finished"] is not None)
    found: dict[str, Any] = http.get(f"/v1/jobs/{job}").json()
    return found


def test_results_come_in_order_as_pages_and_as_lines(
    busy: tuple[Path, httpx2.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_LINES_AT_ONCE", 2)
    _, http = busy
    sent: Files = [
        *files(8, 24),
        ("files", ("long.jpg", bytes(100_001))),
        ("files", ("text.jpg", b"no image")),
        *files(40),
    ]
    job = accepted(http.post("/v1/jobs?top_k=2", files=sent))["id"]
    over = finished(http, job)
    assert over["state"] == "succeeded"
    assert over["counts"] == {"total": 5, "succeeded": 3, "failed": 2, "waiting": 0}
    path = f"/v1/jobs/{job}/results"
    page = http.get(f"{path}?limit=2").json()
    found = page["results"]
    while (cursor := page["next"]) is not None:
        page = http.get(f"{path}?limit=2&cursor={cursor}").json()
        found += page["results"]
    assert [one["index"] for one in found] == [0, 1, 2, 3, 4]
    assert [one["filename"] for one in found] == [name for _, (name, _) in sent]
    classes = [one["result"]["class"] if "result" in one else None for one in found]
    assert classes == ["step-0", "step-1", None, None, "step-2"]
    assert len(found[0]["result"]["classes"]) == 2
    assert [found[place]["error"]["code"] for place in (2, 3)] == [
        "payload_too_large",
        "unsupported_media_type",
    ]
    answer = http.get(path, headers={"Accept": "application/x-ndjson"})
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == found


@pytest.mark.parametrize(("failed", "places"), [("true", [1, 3, 5]), ("false", [0, 2, 4])])
def test_what_failed_can_be_asked_for_alone(
    busy: tuple[Path, httpx2.Client],
    monkeypatch: pytest.MonkeyPatch,
    failed: str,
    places: list[int],
) -> None:
    monkeypatch.setattr(routes, "_LINES_AT_ONCE", 2)
    _, http = busy
    broken = ("files", ("text.jpg", b"no image"))
    sent = [*files(8), broken, *files(16), broken, *files(24), broken]
    job = accepted(http.post("/v1/jobs", files=sent))["id"]
    finished(http, job)
    path = f"/v1/jobs/{job}/results?failed={failed}"
    first = http.get(f"{path}&limit=2").json()
    second = http.get(f"{path}&limit=2&cursor={first['next']}").json()
    found = first["results"] + second["results"]
    assert [one["index"] for one in found] == places
    assert second["next"] is None
    assert ["error" in one for one in found] == 3 * [failed == "true"]
    lines = http.get(path, headers={"Accept": "application/x-ndjson"}).text
    assert [json.loads(line) for line in lines.splitlines()] == found


def test_a_file_that_an_archive_does_not_give_fails_alone(
    busy: tuple[Path, httpx2.Client],
) -> None:
    _, http = busy
    archive = changed(zipped({"a.png": grey(8), "locked.png": grey(9)}), flags=1)
    job = accepted(http.post("/v1/jobs", files={"archive": ("x.zip", archive)}))["id"]
    assert finished(http, job)["counts"]["failed"] == 1
    good, bad = http.get(f"/v1/jobs/{job}/results").json()["results"]
    assert good["result"]["class"] == "step-0"
    assert (bad["filename"], bad["error"]["status"]) == ("locked.png", 415)


def test_images_are_gone_from_the_disk_when_a_job_is_over(
    busy: tuple[Path, httpx2.Client],
) -> None:
    home, http = busy
    mark = b"whose-photo-is-this"
    photo = grey(8) + mark
    for sent in ([("files", ("1.png", photo))], {"archive": ("x.zip", zipped({"1.png": photo}))}):
        job = accepted(http.post("/v1/jobs", files=sent))["id"]
        assert finished(http, job)["counts"]["succeeded"] == 1
    eventually(lambda: not [*(home / "blobs" / "jobs").iterdir()])
    for path in home.rglob("*"):
        assert not path.is_file() or mark not in path.read_bytes()


# -- calling off


def test_a_job_is_called_off_once(http: httpx2.Client) -> None:
    job = accepted(http.post("/v1/jobs", files=files(1)))["id"]
    answer = http.delete(f"/v1/jobs/{job}")
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["counts"]["waiting"]) == ("cancelled", 1)
    assert answer.json()["finished"] is not None
    assert refused(http.delete(f"/v1/jobs/{job}")) == (409, "conflict")


def test_without_manage_one_calls_off_ones_own_jobs_only(tmp_path: Path) -> None:
    auth = AuthSettings(enabled=True, refresh_s=0.1)
    with asked(tmp_path, jobs=JobSettings(run=False), auth=auth) as (server, http):

        def key(name: str, *scopes: AccessScope) -> tuple[str, dict[str, str]]:
            made, token = make_key(name, now=datetime.now(UTC), scopes=scopes, expires=None)

            async def keep() -> None:
                database = await open_database(server.services.settings)
                await ApiKeys(database).add(made)
                await database.close()

            asyncio.run(keep())
            headers = {"X-API-Key": token}
            eventually(lambda: http.get("/v1/jobs", headers=headers).status_code != 401)  # known
            return made.id, headers

        mine, one = key("one", "classify")
        _, other = key("other", "classify", "read")
        _, chief = key("chief", "classify", "manage")
        jobs = []
        for _ in range(2):
            job = accepted(http.post("/v1/jobs", files=files(1), headers=one | KEYED))
            jobs.append(job["id"])
        assert jobs[0] == jobs[1]
        assert http.get(f"/v1/jobs/{jobs[0]}", headers=other).json()["key_id"] == f"key:{mine}"
        theirs = accepted(http.post("/v1/jobs", files=files(1), headers=other | KEYED))["id"]
        assert theirs != jobs[0]
        assert refused(http.delete(f"/v1/jobs/{jobs[0]}", headers=other)) == (404, "job_not_found")
        assert http.delete(f"/v1/jobs/{jobs[0]}", headers=one).status_code == 200
        assert http.delete(f"/v1/jobs/{theirs}", headers=chief).status_code == 200
