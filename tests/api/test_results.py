"""`/v1/results` and below, on both databases: what was answered, and what people say of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import pytest
from PIL import Image
from tests.results.making import a_result
from tests.support import LocalServer, encode, fake_bundle, serving_here

from viewfinder.access.keys import make_key
from viewfinder.api.services import Services
from viewfinder.app.services import build_services
from viewfinder.blobs.store import Blobs, FolderBlobs
from viewfinder.results.images import image_key
from viewfinder.results.recorder import ResultRecorder
from viewfinder.settings import AuthSettings, DatabaseSettings, Settings
from viewfinder.shared.ids import first_id
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.results.rows import Result
from viewfinder.storage.results.table import Results
from viewfinder.storage.schema import open_database, upgrade
from viewfinder.types import AccessScope, ClassScore

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
UNKNOWN = f"{first_id(NOW)}-7fff-8fff-ffffffffffff"
LABEL = {"label": "step-3"}
_T = TypeVar("_T")


class Waiting(ResultRecorder):
    """A recorder that holds results back until it is told."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(DatabaseLink(settings), buffer=1)
        self.held: list[Result] = []
        self.flushes = 0
        self.stuck = False
        self._settings = settings

    async def flush(self) -> bool:
        """Write them."""
        self.flushes += 1
        if self.stuck:
            return False
        held, self.held = self.held, []
        database = await open_database(self._settings)
        await Results(database).add(held)
        await database.close()
        return True


class LosingBlobs(FolderBlobs):
    """A folder that can be out of reach."""

    lost = False

    def get(self, key: str) -> bytes:
        """Read."""
        self._check()
        return super().get(key)

    def delete(self, keys: Any) -> None:
        """Delete."""
        self._check()
        super().delete(keys)

    def _check(self) -> None:
        if self.lost:
            raise OSError("no such bucket: secret-name")


@dataclass
class Place:
    """A server, and what lies behind it.

    Attributes:
        http: A client of it.
        settings: Its own.
        recorder: Its own.
        blobs: Its own.
    """

    http: httpx2.Client
    settings: Settings
    recorder: Waiting
    blobs: LosingBlobs
    made: int = 0

    def put(self, *several: dict[str, Any], image: bytes | None = None) -> list[str]:
        """Put results into the table, a second apart, and say their ids."""
        rows = [self.make(image=image, **fields) for fields in several]
        _with_results(self.settings, lambda table: table.add(rows))
        return [row.id for row in rows]

    def make(self, *, image: bytes | None = None, **fields: Any) -> Result:
        """A result that nobody knows of yet."""
        self.made += 1
        moment = NOW + timedelta(seconds=self.made)
        timing = {"decode": 1.23456, "queue": 0.0, "infer": 2.0, "total": 3.5}
        step = {"label": "step-3", "classes": (ClassScore("step-3", 3, 0.5),), "timing": timing}
        size = None if image is None else len(image)
        result = a_result(self.made, moment, **{**step, "stored_bytes": size, **fields})
        if image is not None:
            self.blobs.put(image_key(result.id), image)
        return result

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a success."""
        answer = self.http.get(f"/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, **parameters: Any) -> list[str]:
        """The ids of a page."""
        return [result["id"] for result in self.get("results", **parameters)["results"]]


def _with_results(settings: Settings, ask: Callable[[Results], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        database = await open_database(settings)
        try:
            return await ask(Results(database))
        finally:
            await database.close()

    return asyncio.run(asked())


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server with the model `fake`, on either database."""
    home, url = tmp_path_factory.mktemp("home"), None
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    fake_bundle(home / "models")
    settings = Settings(
        home=home, default_model="fake", database=DatabaseSettings(url=url), record="none"
    )
    upgrade(settings)
    recorder, blobs = Waiting(settings), LosingBlobs(home / "blobs")
    with _serving(settings, recorder, blobs) as local, _client(local) as http:
        yield Place(http, settings, recorder, blobs)


def _client(server: LocalServer) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=60, trust_env=False)


def _serving(settings: Settings, recorder: Waiting, blobs: Blobs) -> Any:
    really = build_services

    def build(given: Settings, **options: Any) -> Services:
        return replace(really(given, **options), recorder=recorder, blobs=blobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("viewfinder.app.application.build_services", build)
        manager = serving_here(settings)
        server = manager.__enter__()
    return _Closing(manager, server)


@dataclass
class _Closing:
    manager: Any
    server: LocalServer

    def __enter__(self) -> LocalServer:
        return self.server

    def __exit__(self, *error: object) -> None:
        self.manager.__exit__(*error)


def _code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_one_result_says_all_there_is_of_it(place: Place) -> None:
    (one,) = place.put({"owner": "key:1", "job": "job-1", "image_sha256": "ab" * 32})
    assert place.get(f"results/{one}") == {
        "id": one,
        "created": (NOW + timedelta(seconds=place.made)).isoformat().replace("+00:00", "Z"),
        "class": "step-3",
        "confidence": 0.5,
        "classes": [{"class": "step-3", "index": 3, "confidence": 0.5}],
        "model": {"name": "fake", "version": 1, "variant": "only"},
        "abstained": False,
        "cached": False,
        "timing_ms": {"decode": 1.235, "queue": 0.0, "infer": 2.0, "total": 3.5},
        "key_id": "key:1",
        "job_id": "job-1",
        "image": {"sha256": "ab" * 32, "bytes": 100, "stored": False},
        "feedback": None,
    }


def test_pages_follow_each_other_by_their_cursor(place: Place) -> None:
    put = place.put(*({"model": "paged", "confidence": n / 10} for n in (3, 1, 2, 0, 4)))
    for order, expected in (
        ("newest", put[::-1]),
        ("oldest", put),
        ("uncertain", [put[n] for n in (3, 1, 2, 0, 4)]),
    ):
        found, cursor = [], None
        while True:
            asked = {"model": "paged", "order": order, "limit": 2}
            page = place.get("results", **asked, **({"cursor": cursor} if cursor else {}))
            found += [result["id"] for result in page["results"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert found == expected
    newest = place.get("results", model="paged", limit=2)["next"]
    other = place.http.get("/v1/results", params={"order": "uncertain", "cursor": newest})
    assert _code(other) == (422, "invalid_parameter")


def test_filters_leave_what_they_say(place: Place) -> None:
    first, second, third = place.put(
        {"model": "filtered", "label": "a b", "confidence": 0.2},
        {"model": "filtered", "label": "Löwe", "version": 2},
        {"model": "filtered", "confidence": 0.9, "feedback": "x", "reviewed": NOW},
    )
    model = {"model": "filtered"}
    assert place.ids(**model) == [third, second, first]
    assert place.ids(model="filtered@2") == [second]
    assert place.ids(**{"class": "a b"}, **model) == [first]
    assert place.ids(**{"class": "Löwe"}, **model) == [second]
    assert place.ids(min_confidence=0.5, max_confidence=0.8, **model) == [second]
    assert place.ids(reviewed="true", **model) == [third]
    assert place.ids(reviewed="false", order="uncertain", **model) == [first, second]
    between = (NOW + timedelta(seconds=place.made - 1)).astimezone(UTC)
    assert place.ids(since=between.isoformat(), **model) == [third, second]
    assert place.ids(until=f"{between:%Y-%m-%dT%H:%M:%S}Z", **model) == [first]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "order=best", "min_confidence=-1", "max_confidence=2",
        "min_confidence=nan", "max_confidence=inf", "since=2026", "since=2026-01-01",
        "since=2026-01-01T00:00:00", "since=1767225600", "until=yesterday",
        "until=2026-13-01T00:00:00Z", "since=2026-01-01T00:00:00+00:00",
        "reviewed=perhaps", "cursor=x", "cursor=%00", "cursor=" + "A" * 5000, "class=%00",
        "class=%ff%fe%00", "class=" + "a" * 201, "model=..%2f..%2fetc", "model=fake@stable",
        "model=%00", "model=fake@0",
    ],
)  # fmt: skip
def test_hostile_parameters_are_refused(place: Place, query: str) -> None:
    answer = place.http.get(f"/v1/results?{query}")
    assert _code(answer) == (422, "invalid_parameter")


def test_hostile_ids_are_no_results(place: Place) -> None:
    for name in (
        "x", "%00", "%ff", "..%2f..%2fetc", "'%20OR%201=1", "1" * 5000, UNKNOWN.upper(),
        UNKNOWN + "%0a", "{" + UNKNOWN + "}", UNKNOWN,
    ):  # fmt: skip
        for method, path in (
            ("GET", ""), ("DELETE", ""), ("GET", "/image"), ("PUT", "/feedback"),
            ("DELETE", "/feedback"),
        ):  # fmt: skip
            answer = place.http.request(
                method, f"/v1/results/{name}{path}", json=LABEL if method == "PUT" else None
            )
            assert answer.status_code == 404, (name, path)
            assert answer.json()["code"] in {"result_not_found", "not_found"}
    assert _code(place.http.get("/v1/results/%00")) == (404, "result_not_found")


# -- feedback


def test_feedback_is_set_replaced_and_taken_back(place: Place) -> None:
    (one,) = place.put({})
    path = f"/v1/results/{one}/feedback"
    said = place.http.put(path, json={"label": " step-3 ", "note": "two\nlines"}).json()
    created = said["feedback"].pop("created")
    assert datetime.fromisoformat(created).tzinfo is not None
    assert said["feedback"] == {
        "label": "step-3",
        "note": "two\nlines",
        "correct": True,
        "known": True,
        "key_id": None,
    }
    place.http.put(path, json={"label": "Cafe\u0301"})
    feedback = place.get(f"results/{one}")["feedback"]
    assert feedback["label"] == "Caf\u00e9"
    assert (feedback["note"], feedback["correct"], feedback["known"]) == (None, False, False)
    for _ in range(2):
        assert place.http.delete(path).status_code == 204
        assert place.get(f"results/{one}")["feedback"] is None


def test_nobody_knows_the_classes_of_a_version_that_is_gone(place: Place) -> None:
    for fields in ({"version": 7}, {"model": "gone"}):
        (one,) = place.put(fields)
        said = place.http.put(f"/v1/results/{one}/feedback", json=LABEL).json()["feedback"]
        assert (said["known"], said["correct"]) == (None, True)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"label": ""}, {"label": "  "}, {"label": "a/b"}, {"label": "a\\b"}, {"label": "."},
        {"label": ".."}, {"label": " .hidden"}, {"label": "a\0"}, {"label": "a\nb"},
        {"label": "\u202eabc"}, {"label": "a" * 201}, {"label": "猫" * 100}, {"label": 7},
        {"label": None}, {"label": "a", "note": "b" * 1001}, {"label": "a", "note": "\0"},
        {"label": "a", "unknown": 1}, [], "a",
    ],
)  # fmt: skip
def test_what_cannot_be_a_folder_is_no_label(place: Place, body: Any) -> None:
    (one,) = place.put({})
    answer = place.http.put(f"/v1/results/{one}/feedback", json=body)
    assert _code(answer) == (422, "invalid_parameter"), body
    assert place.get(f"results/{one}")["feedback"] is None


def test_a_body_that_is_no_json_is_told(place: Place) -> None:
    (one,) = place.put({})
    for content in (b"", b"{", b'{"label": "\\ud800"}', b"\xff"):
        answer = place.http.put(f"/v1/results/{one}/feedback", content=content)
        assert _code(answer) == (400, "malformed_request")


# -- images, and erasing


def test_a_stored_image_is_given_and_kept_by_nobody_on_the_way(place: Place) -> None:
    (one,) = place.put({}, image=b"\xff\xd8jpeg")
    answer = place.http.get(f"/v1/results/{one}/image")
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8jpeg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert place.get(f"results/{one}")["image"]["stored"]


@pytest.mark.parametrize(("side", "size"), [(32, (32, 16)), (320, (320, 160)), (640, (400, 200))])
def test_a_thumbnail_is_no_larger_than_asked_for(
    place: Place, side: int, size: tuple[int, int]
) -> None:
    (one,) = place.put({}, image=encode(Image.new("RGB", (400, 200), "teal"), "JPEG"))
    answer = place.http.get(f"/v1/results/{one}/image?side={side}")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, no-store"
    with Image.open(BytesIO(answer.content)) as thumbnail:
        assert thumbnail.size == size


@pytest.mark.parametrize("side", ["31", "641", "0", "-1", "1e2", "", "x"])
def test_a_thumbnail_has_a_side_in_its_range(place: Place, side: str) -> None:
    (one,) = place.put({}, image=b"jpeg")
    answer = place.http.get(f"/v1/results/{one}/image?side={side}")
    assert _code(answer) == (422, "invalid_parameter")


@pytest.mark.parametrize("damaged", [b"\xff\xd8jpeg", b"no image"])
def test_of_a_damaged_image_there_is_no_thumbnail(place: Place, damaged: bytes) -> None:
    (one,) = place.put({}, image=damaged)
    answer = place.http.get(f"/v1/results/{one}/image?side=320")
    assert _code(answer) == (404, "result_not_found")
    assert "damaged" in answer.json()["detail"]


def test_of_an_image_beyond_the_limits_there_is_no_thumbnail(place: Place) -> None:
    """The limits may have been higher when it was stored."""
    side = place.settings.limits.side + 1
    (one,) = place.put({}, image=encode(Image.new("L", (side, 1)), "JPEG"))
    answer = place.http.get(f"/v1/results/{one}/image?side=320")
    assert _code(answer) == (404, "result_not_found")
    assert place.http.get(f"/v1/results/{one}/image").status_code == 200


def test_an_image_that_is_not_there_says_why(place: Place) -> None:
    (bare,) = place.put({})
    never = place.http.get(f"/v1/results/{bare}/image")
    assert _code(never) == (404, "result_not_found")
    assert "`record`" in never.json()["detail"]
    (one,) = place.put({"stored_bytes": 5})
    gone = place.http.get(f"/v1/results/{one}/image")
    assert _code(gone) == (404, "result_not_found")
    assert "let go of" in gone.json()["detail"]


def test_erasing_takes_row_and_image(place: Place) -> None:
    one, other = place.put({}, {}, image=b"jpeg")
    (bare,) = place.put({})
    place.blobs.put(image_key(bare), b"stored, and the process died")
    for which in (one, bare):
        answer = place.http.delete(f"/v1/results/{which}")
        assert (answer.status_code, answer.content) == (204, b"")
    with pytest.raises(FileNotFoundError):
        place.blobs.get(image_key(bare))
    assert _code(place.http.delete(f"/v1/results/{one}")) == (404, "result_not_found")
    assert _code(place.http.get(f"/v1/results/{one}/image")) == (404, "result_not_found")
    with pytest.raises(FileNotFoundError):
        place.blobs.get(image_key(one))
    assert place.http.get(f"/v1/results/{other}/image").status_code == 200


def test_erasing_by_digest_takes_every_result_of_an_image(place: Place) -> None:
    digest = "0123456789abcdef" * 4
    put = place.put(*({"image_sha256": digest} for _ in range(3)), image=b"jpeg")
    (other,) = place.put({}, image=b"jpeg")
    place.recorder.held = [place.make(image_sha256=digest, image=b"jpeg")]
    held = place.recorder.held[0].id
    answer = place.http.delete("/v1/results", params={"image_sha256": digest.upper()})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 4})
    for one in (*put, held):
        assert place.http.get(f"/v1/results/{one}").status_code == 404
        with pytest.raises(FileNotFoundError):
            place.blobs.get(image_key(one))
    assert place.http.get(f"/v1/results/{other}").status_code == 200
    again = place.http.delete("/v1/results", params={"image_sha256": digest})
    assert again.json() == {"deleted": 0}
    for query in ("", "?image_sha256=abc", f"?image_sha256={digest}%0a", "?image_sha256="):
        wrong = place.http.delete(f"/v1/results{query}")
        assert _code(wrong) == (422, "invalid_parameter")


def test_while_the_images_cannot_be_erased_the_rows_stay(place: Place) -> None:
    digest = "fedcba9876543210" * 4
    one, two = place.put({"image_sha256": digest}, {"image_sha256": digest}, image=b"jpeg")
    place.blobs.lost = True
    try:
        for answer in (
            place.http.delete(f"/v1/results/{one}"),
            place.http.delete("/v1/results", params={"image_sha256": digest}),
            place.http.get(f"/v1/results/{one}/image"),
        ):
            assert _code(answer) == (503, "not_ready")
            assert "secret" not in answer.text
            assert answer.headers["Retry-After"] == "5"
        assert len(place.ids(order="oldest", limit=1000)) >= 2
        assert place.http.get(f"/v1/results/{two}").status_code == 200
    finally:
        place.blobs.lost = False
    assert place.http.delete(f"/v1/results/{one}").status_code == 204
    assert place.http.delete(f"/v1/results/{two}").status_code == 204


def test_nothing_counts_as_erased_that_may_still_be_written(place: Place) -> None:
    digest = "02468ace13579bdf" * 4
    place.recorder.held = [place.make(image_sha256=digest)]
    place.recorder.stuck = True
    try:
        early = place.http.delete("/v1/results", params={"image_sha256": digest})
        assert _code(early) == (503, "not_ready")
        assert early.headers["Retry-After"] == "5"
    finally:
        place.recorder.stuck = False
    answer = place.http.delete("/v1/results", params={"image_sha256": digest})
    assert answer.json() == {"deleted": 1}


# -- what waits to be written


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 200), ("DELETE", "", 204), ("GET", "/image", 200), ("PUT", "/feedback", 200),
        ("DELETE", "/feedback", 204),
    ],
)  # fmt: skip
def test_what_was_answered_just_now_is_found(
    place: Place, method: str, path: str, status: int
) -> None:
    place.recorder.held = [place.make(image=b"jpeg")]
    url = f"/v1/results/{place.recorder.held[0].id}{path}"
    assert (
        place.http.request(method, url, json=LABEL if method == "PUT" else None).status_code
        == status
    )
    if method != "DELETE":
        flushes = place.recorder.flushes
        assert (
            place.http.request(method, url, json=LABEL if method == "PUT" else None).status_code
            == status
        )
        assert place.recorder.flushes == flushes  # what is in the table waits for nobody


# -- live accuracy


def test_live_accuracy_counts_by_version_and_class(place: Place) -> None:
    def reviewed(label: str, feedback: str, **fields: Any) -> dict[str, Any]:
        return {
            "model": "live", "label": label, "feedback": feedback, "reviewed": NOW, **fields,
        }  # fmt: skip

    start = NOW + timedelta(seconds=place.made + 1)
    place.put(
        *(reviewed("cat", "cat") for _ in range(7)),
        reviewed("cat", "dog"),
        reviewed("cat", "dog", abstained=True),
        reviewed("dog", "dog"),
        reviewed("dog", "dog", version=2),
        {"model": "live"},
    )
    body = place.get("models/live/live-accuracy")
    assert body["name"] == "live"
    assert "unsure" in body["caution"]
    two, one = body["versions"]
    assert (two["version"], two["reviewed"], two["correct"]) == (2, 1, 1)
    assert two["abstained"] == {"reviewed": 0, "correct": 0, "accuracy": None}
    assert (one["version"], one["reviewed"], one["correct"]) == (1, 10, 8)
    # Wilson's interval of 8 of 10, by hand.
    assert one["accuracy"] == pytest.approx({"value": 0.8, "low": 0.4902, "high": 0.9433}, abs=1e-4)
    assert (one["answered"]["reviewed"], one["answered"]["correct"]) == (9, 8)
    assert (one["abstained"]["reviewed"], one["abstained"]["correct"]) == (1, 0)
    cat, dog = one["classes"]
    assert (cat["class"], cat["reviewed"], cat["answered"], cat["correct"]) == ("cat", 7, 9, 7)
    assert cat["recall"]["value"] == 1
    assert cat["precision"]["value"] == pytest.approx(7 / 9)
    assert (dog["reviewed"], dog["answered"], dog["correct"]) == (3, 1, 1)
    assert one["confusions"] == [{"class": "dog", "answered": "cat", "count": 2}]
    span = {"since": start.isoformat(), "until": (start + timedelta(seconds=7)).isoformat()}
    (only,) = place.get("models/live/live-accuracy", **span)["versions"]
    assert (only["reviewed"], only["correct"]) == (7, 7)


def test_live_accuracy_of_a_model_without_reviews_or_of_none(place: Place) -> None:
    assert place.get("models/fake/live-accuracy", until="2000-01-01T00:00:00Z")["versions"] == []
    place.put({"model": "deleted"})
    assert place.get("models/deleted/live-accuracy")["versions"] == []
    for name in ("nothing", "..", "%00", "%ff", "a" * 300, "UPPER"):
        answer = place.http.get(f"/v1/models/{name}/live-accuracy")
        assert answer.status_code == 404
        assert answer.json()["code"] in {"model_not_found", "not_found"}
    wrong = place.http.get("/v1/models/fake/live-accuracy?since=today")
    assert _code(wrong) == (422, "invalid_parameter")


# -- keys


def test_a_key_that_only_classifies_speaks_of_its_own_results(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    settings = Settings(home=tmp_path, default_model="fake", auth=AuthSettings(enabled=True))
    tokens: dict[str, tuple[str, str]] = {}

    async def make(name: str, *scopes: AccessScope) -> None:
        key, token = make_key(name, now=datetime.now(UTC), scopes=scopes)
        database = await open_database(settings)
        await ApiKeys(database).add(key)
        await database.close()
        tokens[name] = f"key:{key.id}", token

    asyncio.run(make("mine", "classify", "read"))
    asyncio.run(make("other", "classify"))
    asyncio.run(make("boss", "classify", "manage"))
    recorder, blobs = Waiting(settings), LosingBlobs(tmp_path / "blobs")
    with _serving(settings, recorder, blobs) as server, _client(server) as http:
        place = Place(http, settings, recorder, blobs)
        (one,) = place.put({"owner": tokens["mine"][0]})
        (nobody,) = place.put({})

        def say(name: str, which: str, method: str = "PUT") -> httpx2.Response:
            headers = {"X-API-Key": tokens[name][1]}
            return http.request(
                method,
                f"/v1/results/{which}/feedback",
                headers=headers,
                json=LABEL if method == "PUT" else None,
            )

        said = say("mine", one)
        assert said.status_code == 200
        assert said.json()["feedback"]["key_id"] == tokens["mine"][0]
        for method in ("PUT", "DELETE"):
            assert _code(say("other", one, method)) == (404, "result_not_found")
            assert _code(say("mine", nobody, method)) == (404, "result_not_found")
        assert say("boss", one).json()["feedback"]["key_id"] == tokens["boss"][0]
        assert say("boss", nobody).status_code == 200
        assert say("mine", one, "DELETE").status_code == 204
