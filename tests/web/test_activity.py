"""Activity: what was answered, and jobs from the first photo to the last callback."""

import contextlib
import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.jobs.receiver import Receiver, receiving
from tests.jobs.zips import zipped
from tests.support import (
    PHOTOS,
    Server,
    eventually,
    fake_bundle,
    free_port,
    grey,
    photo,
    run_command,
    serving,
)
from tests.web.browser import NARROW, Visitor, drop, expect, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

FILES = sorted(PHOTOS.glob("*.jpg"))
GREYS = 40
WIDTHS = "Array.from(document.querySelectorAll('stored-photo img'), (one) => one.naturalWidth)"
AWAY = ["ERR_", "cannot be reached"]
# Whether the page keeps the browser from opening a file that is dropped there.
KEPT = """["dragover", "drop"].map((name) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File(["x"], "x.png"));
    const init = { bubbles: true, cancelable: true, dataTransfer };
    return !document.body.dispatchEvent(new DragEvent(name, init));
})"""


@dataclass
class Place:
    """A server with answers of several models, a client of it, and whom it calls."""

    server: Server
    http: httpx2.Client
    receiver: Receiver

    def classify(self, data: bytes, **options: Any) -> dict[str, Any]:
        """An answer."""
        answer = self.http.post("/v1/classify", files={"file": data}, params=options)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def results(self, **parameters: Any) -> list[dict[str, Any]]:
        """What the API lists."""
        answer = self.http.get("/v1/results", params={"limit": 1000, **parameters})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["results"]
        return found

    def send(self, *photos: bytes, **fields: str) -> str:
        """A job; its id."""
        files = [("files", (f"{number}.png", data)) for number, data in enumerate(photos)]
        answer = self.http.post("/v1/jobs", files=files, data=fields)
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["id"]
        return found

    def job(self, identifier: str) -> dict[str, Any]:
        """A job as it stands."""
        found: dict[str, Any] = self.http.get(f"/v1/jobs/{identifier}").json()
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Answers: many of a small model, then real photos, of which two have been reviewed."""
    home = tmp_path_factory.mktemp("activity")
    fake_bundle(home / "models", "shades", 1)
    fake_bundle(home / "models", "shades", 2)
    fake_bundle(home / "models", "slow", 1, milliseconds=200)
    with (
        receiving() as receiver,
        serving(
            home,
            RECORD="images",
            WEBHOOKS__ALLOW_PRIVATE=True,
            WEBHOOKS__PORTS=receiver.port,
        ) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
    ):
        place = Place(server, http, receiver)
        for number in range(GREYS):
            place.classify(grey(6 * number), model=f"shades@{1 + number % 2}")
        ids = [place.classify(file.read_bytes())["id"] for file in FILES]
        for identifier, label in zip(ids, ("tabby", "espresso"), strict=False):
            http.put(f"/v1/results/{identifier}/feedback", json={"label": label})
        eventually(lambda: sum(one["image"]["stored"] for one in place.results()) == GREYS + 5)
        yield place


@pytest.fixture
def visitor(browser: "Browser", place: Place) -> Iterator[Visitor]:
    with visiting(browser, place.server.url) as someone:
        yield someone


def rows(page: "Page") -> "Locator":
    return page.locator(".answers li")


def loaded(page: "Page") -> int:
    """How many thumbnails are to be seen."""
    return sum(width > 0 for width in page.evaluate(WIDTHS))


def jobs(page: "Page") -> "Locator":
    return page.locator(".jobs > li")


def choose(page: "Page", *files: Path | dict[str, Any]) -> None:
    """Choose files for a new job."""
    page.locator("#job-files").set_input_files([*files])


# -- history


def test_answers_are_shown_newest_first_with_their_photos(visitor: Visitor) -> None:
    page = visitor.open("/activity")
    expect(rows(page)).to_have_count(30)
    expect(rows(page).nth(0)).to_contain_text("sandal")
    expect(rows(page).nth(0)).to_contain_text("efficientnet-lite0@1")
    expect(rows(page).nth(3)).to_contain_text("right")
    expect(rows(page).nth(4)).to_contain_text("it is tabby")
    eventually(lambda: loaded(page) >= 10)
    widths = page.evaluate(WIDTHS)
    assert len(widths) < 30, "the photos far below are fetched too"
    assert max(widths) <= 160
    visitor.check_usable()
    visitor.check_fits()
    visitor.picture("activity")


def test_photos_that_are_refused_are_asked_for_ever_less_often(
    browser: "Browser", place: Place
) -> None:
    asked: list[str] = []

    def refuse(route: "Route") -> None:
        asked.append(route.request.url)
        route.fulfill(status=503 if len(asked) > 2 else 404, json={"detail": "Not now."})

    with visiting(browser, place.server.url, expected_errors=["503", "404"]) as visitor:
        visitor.page.clock.install(time=0)
        visitor.page.clock.pause_at(1_000)
        visitor.page.route("**/image?side=160", refuse)
        page = visitor.open("/activity?model=efficientnet-lite0")

        def more(than: int, *, after_ms: int) -> int:
            page.clock.run_for(after_ms)
            page.wait_for_load_state("networkidle")
            return len(asked) - than

        def all_again(before: int, *, after_ms: int) -> bool:
            return more(before, after_ms=after_ms) == 3

        eventually(lambda: more(0, after_ms=1) == 5)
        for pause in (5_000, 10_000, 20_000, 40_000, 60_000, 60_000):
            before = len(asked)
            assert more(before, after_ms=pause // 2) == 0
            step = pause // 10  # the answers may have come late, when some of it was over
            eventually(partial(all_again, before, after_ms=step))
        assert len(set(asked[5:])) == 3, "only those that failed"


def test_an_answer_opens_with_all_that_is_known_of_it(visitor: Visitor, place: Place) -> None:
    page = visitor.open("/activity?model=efficientnet-lite0")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    rows(page).nth(4).get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img")).to_be_visible()
    (result,) = (one for one in place.results() if one["feedback"] and not is_right(one))
    expect(dialog.get_by_role("listitem")).to_have_count(5)
    for text in (result["id"], result["image"]["sha256"], "a person says that it is tabby"):
        expect(dialog.get_by_text(text)).to_be_visible()
    dialog.get_by_role("button", name="Copy the SHA-256").click()
    expect(dialog.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == result["image"]["sha256"]
    visitor.check_usable()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "answer"


def is_right(result: dict[str, Any]) -> bool:
    right: bool = result["feedback"]["correct"]
    return right


def test_each_filter_leaves_what_it_names_and_the_address_keeps_them(
    visitor: Visitor, place: Place
) -> None:
    page = visitor.open("/activity")
    day = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    local, moment = f"{day:%Y-%m-%dT%H:%M}", day.isoformat()
    filters: list[tuple[str, str, dict[str, Any]]] = [
        ("Model", "shades@2", {"model": "shades@2"}),
        ("Class", "espresso", {"class": "espresso"}),
        ("Confidence from, %", "99.5", {"min_confidence": 0.995}),
        ("Confidence to, %", "90", {"max_confidence": 0.9}),
        ("Since", local, {"since": moment}),
        ("Before", local, {"until": moment}),
    ]
    for label, value, parameters in filters:
        field = page.get_by_label(label, exact=True)
        field.fill(value)
        field.blur()
        expect_as_many(page, place.results(**parameters))
        page.get_by_role("button", name="Clear filters").first.click()
    page.get_by_label("Reviewed").select_option("yes")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Confidence from, %").fill("50")
    page.get_by_label("Confidence from, %").press("Enter")
    wanted = place.results(reviewed=True, min_confidence=0.5)
    expect(rows(page)).to_have_count(len(wanted))

    another = page.context.new_page()
    another.goto(page.url)
    expect(rows(another)).to_have_count(len(wanted))
    expect(another.get_by_label("Reviewed")).to_have_value("true")
    expect(another.get_by_label("Confidence from, %")).to_have_value("50")


def expect_as_many(page: "Page", results: list[dict[str, Any]]) -> None:
    number = len(results)
    expect(page.locator(".status")).to_contain_text(
        f"{min(30, number)} answer" if number else "", ignore_case=True
    )
    expect(rows(page)).to_have_count(min(30, number))


def test_models_and_classes_are_suggested(visitor: Visitor) -> None:
    page = visitor.open("/activity")
    page.get_by_label("Model", exact=True).fill("shades@1")
    page.get_by_label("Model", exact=True).blur()
    expect(page.locator("#class-names option").first).to_have_attribute("value", "step-0")
    names = page.locator("#model-names option").evaluate_all("(all) => all.map((one) => one.value)")
    assert {"efficientnet-lite0", "shades", "shades@1", "shades@2"} <= {*names}


def test_what_the_api_refuses_is_said_in_its_words(browser: "Browser", place: Place) -> None:
    with visiting(browser, place.server.url, expected_errors=["422"]) as visitor:
        page = visitor.open("/activity?model=shades@latest")
        expect(page.locator("#results").get_by_role("alert")).to_contain_text("is an alias")


def test_more_come_page_by_page_and_new_ones_wait_meanwhile(visitor: Visitor, place: Place) -> None:
    page = visitor.open("/activity")
    everything = len(place.results())
    expect(rows(page)).to_have_count(30)
    page.get_by_role("button", name="More").click()
    expect(rows(page)).to_have_count(everything)
    expect(page.get_by_role("button", name="More")).to_be_hidden()
    first = rows(page).first.inner_text()
    place.classify(grey(250), model="shades")
    page.get_by_role("button", name="Show 1 new").click()
    expect(rows(page)).to_have_count(30)
    expect(rows(page).first).to_contain_text("step-15")
    assert rows(page).first.inner_text() != first


def test_new_answers_appear_by_themselves(visitor: Visitor, place: Place) -> None:
    page = visitor.open("/activity?model=shades%401")
    expect(rows(page).first).to_be_visible()
    place.classify(grey(100), model="shades@1", top_k=2)
    expect(rows(page).first).to_contain_text("step-6")


def test_an_answer_is_erased_after_a_question(visitor: Visitor, place: Place) -> None:
    identifier = place.classify(photo("rocket.jpg"), top_k=3)["id"]
    eventually(lambda: place.results()[0]["id"] == identifier)
    page = visitor.open("/activity?class=missile")
    expect(rows(page)).to_have_count(2)
    rows(page).first.get_by_role("button").click()
    erase = page.get_by_role("button", name="Erase…")
    erase.click()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    visitor.check_usable()
    page.get_by_role("button", name="Keep it").click()
    assert place.http.get(f"/v1/results/{identifier}").status_code == 200
    erase.click()
    page.get_by_role("button", name="Erase it").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert place.http.get(f"/v1/results/{identifier}").status_code == 404


# -- jobs


def test_a_job_is_sent_from_the_page_and_followed_to_its_end(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.open("/activity#jobs")
    page.get_by_label("Classes to name").fill("2")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    choose(page, *FILES, broken)
    page.get_by_role("button", name="Send job").click()
    expect(page.get_by_text("The job is accepted: 6 images")).to_be_visible()
    card = jobs(page).first
    expect(card).to_contain_text("6 images for efficientnet-lite0@1")
    expect(card).to_contain_text("succeeded")
    expect(card).to_contain_text("6 of 6 1 failed")
    card.get_by_role("link", name="Results").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem")).to_have_count(6)
    expect(dialog.get_by_role("listitem").nth(1)).to_contain_text("espresso")
    dialog.get_by_role("button", name="Failed").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    expect(dialog.get_by_role("listitem")).to_contain_text("broken.jpg")
    expect(dialog.get_by_role("listitem")).to_contain_text("The image is not JPEG")
    dialog.get_by_role("button", name="All").click()
    expect(dialog.get_by_role("listitem")).to_have_count(6)
    visitor.check_usable()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Save as NDJSON").click()
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [line["filename"] for line in lines] == [*(file.name for file in FILES), "broken.jpg"]
    assert len(lines[0]["result"]["classes"]) == 2
    shared = page.url
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.wait_for_url(re.compile("#jobs$"))
    visitor.page.goto(shared)
    expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(6)


def test_photos_are_dropped_or_come_as_a_zip(visitor: Visitor, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    archive.write_bytes(zipped({f"{number}.png": grey(number) for number in range(7)}))
    page = visitor.open("/activity#jobs")
    page.locator("#new-job").get_by_label("Model").select_option("shades@1")
    drop(page, "#drop", archive)
    expect(page.locator("#chosen")).to_contain_text("photos.zip")
    page.get_by_role("button", name="Send job").click()
    expect(jobs(page).first).to_contain_text("7 images for shades@1")


def test_what_is_dropped_beside_the_form_never_makes_the_browser_leave(visitor: Visitor) -> None:
    page = visitor.open("/activity")
    drop(page, "h1", FILES[0])
    expect(page.get_by_text("Photos are taken on the tab Jobs")).to_be_visible()
    assert page.evaluate(KEPT) == [True, True]
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.locator("#chosen")).to_contain_text("or drop them here")
    assert page.evaluate(KEPT) == [True, True]
    page.locator("#new-job-box summary").click()
    drop(page, "h1", FILES[0])
    expect(page.locator("#chosen")).to_be_visible()
    expect(page.locator("#chosen")).to_contain_text(FILES[0].name)


def test_a_job_of_which_images_failed_does_not_look_good(visitor: Visitor, place: Place) -> None:
    place.send(grey(1), b"no image", model="shades")
    place.send(b"no image", model="shades")
    page = visitor.open("/activity#jobs")
    for number, kind in enumerate(("bad", "warn")):
        badge = jobs(page).nth(number).get_by_text("succeeded")
        expect(badge).to_have_class(f"badge {kind}")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "Choose photos"),
        (["a.zip"], "The archive is no zip"),
        (["a.zip", "b.png"], "not both"),
    ],
)
def test_a_wrong_choice_is_said_and_may_be_mended(
    browser: "Browser", place: Place, tmp_path: Path, names: list[str], said: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"neither photo nor archive")
    with visiting(browser, place.server.url, expected_errors=["400"]) as visitor:
        page = visitor.open("/activity#jobs")
        choose(page, *(tmp_path / name for name in names))
        page.get_by_role("button", name="Send job").click()
        expect(page.locator("#sending").get_by_role("alert")).to_contain_text(said)
        choose(page, FILES[0])
        expect(page.locator("#sending").get_by_role("alert")).to_be_hidden()
        page.get_by_role("button", name="Send job").click()
        expect(page.get_by_text("The job is accepted: 1 image.")).to_be_visible()


def test_a_job_whose_answer_is_lost_is_tried_again_and_made_once(
    browser: "Browser", place: Place
) -> None:
    before = len(place.http.get("/v1/jobs?limit=1000").json()["jobs"])
    with (
        losing_answers(place.server, b"POST /v1/jobs") as (address, losing),
        visiting(browser, address, expected_errors=["ERR_"]) as visitor,
    ):
        page = visitor.open("/activity#jobs")
        choose(page, FILES[1], FILES[2])
        page.get_by_role("button", name="Send job").click()
        expect(page.get_by_text("The connection was lost")).to_be_visible()
        losing.clear()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("The job is accepted: 2 images.")).to_be_visible()
    assert len(place.http.get("/v1/jobs?limit=1000").json()["jobs"]) == before + 1


@contextlib.contextmanager
def losing_answers(server: Server, begin: bytes) -> Iterator[tuple[str, threading.Event]]:
    """An address that leads to a server, and loses its answers to some requests while it is set.

    Args:
        server: Where everything goes.
        begin: Of the requests whose answers are lost.
    """
    losing = threading.Event()
    losing.set()

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(server.address) as behind:
                lost = threading.Event()
                sending = threading.Thread(target=self.send, args=(behind, lost), daemon=True)
                sending.start()
                with contextlib.suppress(OSError):
                    while (data := behind.recv(65536)) and not lost.is_set():
                        self.request.sendall(data)
            with contextlib.suppress(OSError):
                self.request.shutdown(socket.SHUT_RDWR)
            sending.join(20)

        def send(self, behind: socket.socket, lost: threading.Event) -> None:
            with contextlib.suppress(OSError):
                while data := self.request.recv(65536):
                    if data.startswith(begin) and losing.is_set():
                        lost.set()
                    behind.sendall(data)
                behind.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        thread = threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{relay.server_address[1]}", losing
        relay.shutdown()
        thread.join(20)


def test_a_long_job_shows_how_far_it_is_and_is_cancelled(visitor: Visitor, place: Place) -> None:
    identifier = place.send(*(grey(number % 250, (33, 33)) for number in range(400)), model="slow")
    page = visitor.open("/activity#jobs")
    card = jobs(page).filter(has_text="400 images for slow@1").first
    expect(card).to_contain_text("running")
    expect(card).to_contain_text("left")
    eventually(lambda: card.get_by_role("progressbar").evaluate("(bar) => bar.value") > 0)
    visitor.check_usable()
    visitor.check_fits()
    visitor.picture("activity-jobs")
    card.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Let it go on").click()
    assert place.job(identifier)["state"] == "running"
    card.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(card).to_contain_text("cancelled")
    assert place.job(identifier)["state"] == "cancelled"
    page.get_by_label("Show").select_option("cancelled")
    expect(jobs(page)).to_have_count(1)
    page.get_by_label("Show").select_option("failed")
    expect(page.get_by_text("No job is failed")).to_be_visible()


def test_callbacks_are_shown_as_they_stand(visitor: Visitor, place: Place) -> None:
    page = visitor.open("/activity#jobs")
    page.locator("#new-job").get_by_label("Model").select_option("shades")
    place.receiver.answers = [(204, {}), (500, {}), (410, {})]
    for words in ("delivered", "answered 500; next attempt in", "refused"):
        page.get_by_label("Tell this address").fill(place.receiver.url)
        choose(page, FILES[0])
        page.get_by_role("button", name="Send job").click()
        card = jobs(page).first
        expect(card).to_contain_text(words)
        expect(card).to_contain_text(place.receiver.url)
    jobs(page).nth(1).get_by_role("link", name="Results").click()
    expect(page.get_by_role("dialog")).to_contain_text("answered 500; next attempt in")
    visitor.check_usable()
    page.keyboard.press("Escape")
    nobody = place.receiver.url.replace("127.0.0.1", "127.0.0.2")
    page.get_by_label("Tell this address").fill(nobody)
    choose(page, FILES[0])
    page.get_by_role("button", name="Send job").click()
    expect(jobs(page).first).to_contain_text("does not speak HTTP; next attempt in")


def test_by_keyboard_from_tab_to_tab(visitor: Visitor) -> None:
    page = visitor.open("/activity")
    page.get_by_role("tab", name="History").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Jobs")).to_be_visible()
    expect(page.get_by_role("tab", name="Jobs")).to_be_focused()
    assert page.url.endswith("#jobs")
    page.go_back()
    expect(page.get_by_role("tabpanel", name="History")).to_be_visible()


def test_all_of_it_is_usable_in_the_dark_on_a_phone(browser: "Browser", place: Place) -> None:
    place.send(grey(1), b"no image", model="shades")
    with visiting(browser, place.server.url, color_scheme="dark", viewport=NARROW) as visitor:
        page = visitor.open("/activity?model=efficientnet-lite0")
        eventually(lambda: loaded(page) >= 5)
        visitor.check_usable()
        visitor.check_fits()
        visitor.picture("activity-phone")
        page.locator("#filter-box summary").click()
        visitor.check_usable()
        visitor.check_fits()
        rows(page).last.get_by_role("button").click()
        expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
        visitor.check_usable()
        visitor.check_fits()
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Jobs").click()
        page.locator("#new-job-box summary").click()
        expect(jobs(page).first).to_be_visible()
        visitor.check_usable()
        visitor.check_fits()
        jobs(page).first.get_by_role("link", name="Results").click()
        expect(page.get_by_role("dialog").get_by_role("listitem").first).to_be_visible()
        visitor.check_usable()
        visitor.check_fits()


# -- servers that are otherwise


def test_a_server_that_goes_away_and_comes_back_finds_the_page_going_on(
    browser: "Browser", tmp_path: Path
) -> None:
    port = free_port()
    fake_bundle(tmp_path / "models", "slow", 1, milliseconds=30)
    again: dict[str, Any] = {"DEFAULT_MODEL": "slow", "THREADS": 1, "JOBS__LEASE_S": 1}
    with (
        serving(tmp_path, "--port", str(port), **again) as server,
        visiting(browser, server.url, expected_errors=AWAY) as visitor,
    ):
        page = visitor.open("/activity#jobs")
        expect(page.get_by_text("There are no jobs")).to_be_visible()
        archive = zipped({f"{number}.png": grey(number) for number in range(80)})
        page.locator("#new-job").get_by_label("Model").select_option("slow@1")
        choose(page, {"name": "a.zip", "mimeType": "application/zip", "buffer": archive})
        page.get_by_role("button", name="Send job").click()
        expect(jobs(page).first).to_contain_text("running")
        page.get_by_role("tab", name="History").click()
        expect(rows(page).first).to_be_visible()
        page.get_by_role("tab", name="Jobs").click()
        server.process.kill()
        server.process.wait()
        expect(page.get_by_text("The server cannot be reached")).to_be_visible()
        choose(page, FILES[0])
        page.get_by_role("button", name="Send job").click()
        expect(page.get_by_text("The connection was lost")).to_be_visible()
        expect(page.locator("#chosen")).to_contain_text(FILES[0].name)
        page.get_by_role("tab", name="History").click()
        rows(page).first.get_by_role("button").click()
        opened = page.get_by_role("dialog")
        expect(opened.get_by_role("alert")).to_contain_text("The server cannot be reached")
        with serving(tmp_path, "--port", str(port), **again):
            expect(opened.get_by_role("alert")).to_have_count(0)
            page.keyboard.press("Escape")
            page.get_by_role("tab", name="Jobs").click()
            expect(page.get_by_text("The job is accepted: 1 image.")).to_be_visible()
            expect(page.locator("#new-job").get_by_label("Model")).to_have_value("slow@1")
            expect(jobs(page)).to_have_count(2)
            for number in range(2):
                expect(jobs(page).nth(number)).to_contain_text("succeeded")
            expect(jobs(page).nth(1)).to_contain_text("80 of 80")


def test_where_nothing_is_recorded_the_page_names_the_setting(
    browser: "Browser", tmp_path: Path
) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, RECORD="none", DEFAULT_MODEL="fake") as server,
        visiting(browser, server.url) as visitor,
    ):
        page = visitor.open("/activity")
        expect(page.get_by_text("the setting record is none")).to_be_visible()
        expect(page.get_by_text("Nothing has been answered yet")).to_be_visible()
        expect(page.get_by_text(f"{server.url}/v1/classify")).to_be_visible()
        visitor.check_usable()


def test_a_key_that_may_not_is_told_so_and_exchanged(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")

    def made(*words: str) -> str:
        return run_command("keys", "create", *words, home=tmp_path).stdout.strip()

    key = made("looker", "--scope", "read", "--scope", "classify")
    blind = made("sender", "--scope", "classify")
    with serving(tmp_path, DEFAULT_MODEL="fake", AUTH__ENABLED=True) as server:
        headers = {"X-API-Key": key}
        httpx2.post(
            f"{server.url}/v1/classify", files={"file": grey(1)}, headers=headers, trust_env=False
        )
        with visiting(browser, server.url, expected_errors=["401", "403"]) as visitor:
            page = visitor.open("/activity")
            page.get_by_role("textbox", name="Key").fill(key)
            page.get_by_role("button", name="Use it").click()
            rows(page).first.get_by_role("button").click()
            page.get_by_role("button", name="Erase…").click()
            page.get_by_role("button", name="Erase it").click()
            said = page.get_by_role("dialog").get_by_role("alert")
            expect(said).to_contain_text("lacks the scope")
            page.keyboard.press("Escape")
            page.get_by_role("tab", name="Jobs").click()
            choose(page, FILES[0])
            page.get_by_role("button", name="Send job").click()
            expect(page.get_by_text("The job is accepted: 1 image.")).to_be_visible()
            page.get_by_role("link", name="Open it").click()
            job = page.locator("#job-dialog")
            expect(job.get_by_role("listitem")).to_have_count(1)
            page.evaluate("(key) => sessionStorage.setItem('key', key)", blind)
            page.reload()
            expect(job.get_by_role("alert")).to_contain_text("lacks the scope `read`")
            expect(job.get_by_role("button", name="Save as NDJSON")).to_have_count(0)
            expect(job.get_by_text("Nothing is here so far")).to_have_count(0)
            visitor.check_usable()
            job.get_by_role("button", name="Use another key").click()
            page.get_by_role("textbox", name="Key").fill(key)
            page.get_by_role("button", name="Use it").click()
            expect(job.get_by_role("listitem")).to_have_count(1)
            expect(job.get_by_role("alert")).to_have_count(0)
