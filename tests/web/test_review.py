"""The page where people say what photos show, in a real browser on a real server."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from PIL import Image
from tests.support import (
    EXPECTED,
    PHOTOS,
    Server,
    encode,
    eventually,
    fake_bundle,
    free_port,
    grey,
    photo,
    run_command,
    serving,
)
from tests.web.browser import NARROW, Visitor, expect, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

NAMES = sorted(EXPECTED)
MODEL = "efficientnet-lite0"
FAKES = ("undone", "typed", "counted", "looked", "exported", "erased", "refused")


class Results:
    """What a server has recorded of one model, through its API."""

    def __init__(self, http: httpx2.Client, model: str = "fake") -> None:
        self.http = http
        self.model = model

    def add(self, images: Sequence[bytes], *, stored: bool = True) -> None:
        """Have these answered, recorded and, unless it is said, stored."""
        self.send(images)
        self.wait(len(images), stored=stored)

    def send(self, images: Sequence[bytes]) -> None:
        """Have these answered."""
        for image in images:
            files, query = {"file": image}, {"model": self.model}
            answer = self.http.post("/v1/classify", files=files, params=query)
            assert answer.status_code == 200, answer.text

    def wait(self, number: int, *, stored: bool = True) -> None:
        """Wait until so many are recorded."""
        eventually(lambda: [one["image"]["stored"] for one in self.all()] == [stored] * number)

    def all(self) -> list[dict[str, Any]]:
        """The least sure first."""
        query = {"order": "uncertain", "model": self.model}
        answer = self.http.get("/v1/results", params=query)
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def forget(self) -> None:
        """Take back what people have said."""
        for one in self.all():
            assert self.http.delete(f"/v1/results/{one['id']}/feedback").status_code == 204

    def said(self) -> list[str | None]:
        """What people have said of each, the least sure first."""
        return [one["feedback"] and one["feedback"]["label"] for one in self.all()]


def photos() -> list[bytes]:
    """The example photos, small enough to be quick."""
    made = []
    for name in NAMES:
        with Image.open(PHOTOS / name) as image:
            image.thumbnail((800, 800))
            made.append(encode(image.convert("RGB"), "JPEG"))
    return made


def greys() -> list[bytes]:
    """What the fake model answers, each with another class."""
    return [grey(16 * number, (320, 240)) for number in range(3)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    for name in FAKES:
        fake_bundle(folder / "models", name)
    return folder


@pytest.fixture(scope="module")
def storing(home: Path) -> Iterator[Server]:
    """A server that stores photos, and has some of each model: every test looks at its own."""
    with serving(home, RECORD="images") as server:
        with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
            sent = {name: greys() for name in FAKES} | {MODEL: photos()}
            for name, images in sent.items():
                Results(http, name).send(images)
            for name, images in sent.items():
                Results(http, name).wait(len(images))
        yield server


@pytest.fixture(scope="module")
def http(storing: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=storing.url, timeout=60, trust_env=False) as client:
        yield client


def _open(visitor: Visitor, results: Results) -> "Page":
    page = visitor.open(f"/review?model={results.model}")
    expect(page.locator("#stage figure img")).to_be_visible()
    return page


def _become(page: "Page", results: Results, *said: str | None) -> None:
    """Wait until that is what people have said."""

    def happened() -> bool:
        page.title()  # what the browser sends goes on only while it is asked something
        return results.said() == list(said)

    eventually(happened)


def _shows(page: "Page", result: dict[str, Any]) -> None:
    expect(page.locator("#stage h2")).to_contain_text(result["class"])
    expect(page.locator("#stage h2")).to_contain_text(f"{100 * result['confidence']:.1f}%")


def test_a_queue_is_reviewed_to_its_end_by_keys_alone(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, MODEL)
    results.forget()
    queue = results.all()
    first, second, third, fourth, fifth = queue
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        _shows(page, first)
        expect(page.locator("#stage")).to_contain_text("5 left")
        page.keyboard.press("Enter")
        _shows(page, second)
        page.keyboard.press("2")
        _shows(page, third)
        page.keyboard.press("/")
        page.keyboard.type("sandl")  # which no class has in it, but one its letters in that order
        expect(page.locator("#found li").first).to_have_text("sandal")
        page.keyboard.press("Enter")
        _shows(page, fourth)
        page.keyboard.type("My new class")
        expect(page.locator("#found li")).to_contain_text(["My new class"])
        page.keyboard.press("Enter")
        _shows(page, fifth)
        page.keyboard.press("s")
        expect(page.locator("#stage")).to_contain_text("That was the last one")
        expect(page.locator("#stage")).to_contain_text("4 stored in this visit, 1 skipped")
    said = [first["class"], second["classes"][1]["class"], "sandal", "My new class", None]
    assert results.said() == said
    new = results.all()[3]["feedback"]
    assert (new["known"], new["correct"]) == (False, False)


def test_what_was_said_is_undone_and_changed(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "undone")
    queue = results.all()
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        for _ in range(2):
            page.keyboard.press("y")
        _become(page, results, queue[0]["class"], queue[1]["class"], None)
        page.keyboard.press("u")
        _shows(page, queue[1])
        _become(page, results, queue[0]["class"], None, None)
        page.keyboard.press("ArrowLeft")
        _shows(page, queue[0])
        expect(page.locator(".said")).to_contain_text(queue[0]["class"])
        page.keyboard.press("3")
        _become(page, results, queue[0]["classes"][2]["class"], None, None)
        page.keyboard.press("u")
        _become(page, results, queue[0]["class"], None, None)
        page.keyboard.press("u")
        _become(page, results, None, None, None)
        page.keyboard.press("u")  # there is nothing left to undo
        page.keyboard.press("ArrowRight")
        _shows(page, queue[1])
        expect(page.locator("#outbox")).to_be_empty()


def test_keys_do_nothing_while_somebody_types_or_holds_them_down(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "typed")
    first, second, _ = results.all()
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        page.get_by_text("Which photos").click()
        page.get_by_label("Answered class").fill("")
        page.keyboard.type("y1su")
        page.get_by_label("Answered class").fill("")
        page.locator("#stage").focus()
        page.keyboard.press("Control+y")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("y")
        page.keyboard.press("Escape")
        _shows(page, first)
        page.keyboard.down("y")
        _shows(page, second)
        page.keyboard.down("y")
        page.keyboard.down("y")
        page.keyboard.up("y")
        _shows(page, second)
        _become(page, results, first["class"], None, None)


def test_live_accuracy_follows_each_review(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "counted")
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        accuracy = page.locator("#accuracy")
        expect(accuracy).to_contain_text("Nothing of this model is reviewed yet")
        page.keyboard.press("Enter")
        expect(accuracy).to_contain_text("1 of 1 right")
        page.keyboard.press("2")
        expect(accuracy).to_contain_text("1 of 2 right")
        expect(accuracy).to_contain_text("50.0%")
        expect(accuracy).to_contain_text("95% interval 9.5% to 90.5%")
        caution = results.http.get(f"/v1/models/{results.model}/live-accuracy").json()["caution"]
        expect(accuracy).to_contain_text(caution)
        accuracy.get_by_text("By class").click()
        expect(accuracy.get_by_role("table")).to_contain_text(results.all()[0]["class"])


def test_what_is_reviewed_already_is_looked_through_and_changed(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "looked")
    queue = results.all()
    for one in queue[:2]:
        body = {"label": "thing", "note": "from above"}
        results.http.put(f"/v1/results/{one['id']}/feedback", json=body)
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        _shows(page, queue[2])
        page.get_by_text("Which photos").click()
        page.locator("[name=reviewed]").select_option("reviewed already")
        _shows(page, queue[0])
        expect(page.locator(".said")).to_contain_text("thing")
        page.locator("#stage").focus()
        page.keyboard.press("1")
        _shows(page, queue[1])
        page.get_by_role("button", name="Take the review back").click()
        _become(page, results, queue[0]["class"], None, None)
        assert results.all()[0]["feedback"]["note"] == "from above"
        # The address keeps what was asked for.
        page.reload()
        expect(page.locator("#filters-said")).to_contain_text("reviewed already")
        _shows(page, queue[0])
        page.get_by_text("Which photos").click()
        page.locator("#models").select_option(f"{results.model}@1")
        page.get_by_label("to, %").fill("0")
        page.get_by_label("to, %").press("Tab")
        expect(page.locator("#stage")).to_contain_text("No photo is like that")
        page.get_by_role("button", name="Show all that are not reviewed").click()
        expect(page.locator("#stage figure img")).to_be_visible()
        expect(page.locator("#filters-said")).to_have_text("not yet reviewed, least sure first")


def test_reviewed_photos_are_downloaded_as_a_training_folder(
    browser: "Browser", storing: Server, http: httpx2.Client, home: Path, tmp_path: Path
) -> None:
    results = Results(http, "exported")
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        page.get_by_role("button", name="Download reviewed.zip").click()
        expect(page.locator("#export")).to_contain_text("nothing to export yet")
        page.locator("#stage").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator("#outbox")).to_contain_text("2 stored")
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download reviewed.zip").click()
        download = downloading.value
        assert download.suggested_filename == "reviewed.zip"
        download.save_as(tmp_path / "reviewed.zip")
        expect(page.locator("#export")).to_contain_text("2 photos saved")
        expect(page.locator("#export pre")).to_contain_text("viewfinder train photos/ --name")
    with zipfile.ZipFile(tmp_path / "reviewed.zip") as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == set(results.said()[:2])
        archive.extractall(tmp_path / "photos")
    checked = run_command("data", "check", tmp_path / "photos", home=home)
    assert checked.returncode == 0, checked.stderr


def test_an_address_that_somebody_made_up_breaks_nothing(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    first = Results(http, "refused").all()[0]
    with visiting(browser, storing.url) as visitor:
        page = visitor.open(
            "/review?length=1&reviewed=perhaps&min_confidence=x&model=refused&item=2"
        )
        expect(page.locator("#filters-said")).to_contain_text("not yet reviewed, least sure first")
        _shows(page, first)


def test_a_result_that_was_erased_comes_back_with_the_servers_words(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "erased")
    first, second, _ = results.all()
    with visiting(browser, storing.url, expected_errors=["404"]) as visitor:
        page = _open(visitor, results)
        results.http.delete(f"/v1/results/{first['id']}")
        page.keyboard.press("Enter")
        alert = page.locator("#stage").get_by_role("alert")
        expect(alert).to_contain_text("This was not stored. There is no such result")
        _shows(page, first)
        expect(page.locator(".said")).to_have_count(0)
        expect(page.locator("#outbox")).to_be_empty()
        page.keyboard.press("s")
        _shows(page, second)


def test_a_label_that_is_refused_is_not_lost(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, "refused")
    first = results.all()[0]
    with visiting(browser, storing.url, expected_errors=["422"]) as visitor:
        page = _open(visitor, results)
        page.keyboard.press("/")
        page.keyboard.type("cats/dogs")
        page.keyboard.press("Enter")
        expect(page.locator("#stage").get_by_role("alert")).to_contain_text("has no /")
        _shows(page, first)
        expect(page.get_by_role("combobox", name="Another class")).to_have_value("cats/dogs")
    assert results.said() == [None, None, None]


def test_a_name_that_turns_the_text_round_keeps_to_itself(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, Results(http, "refused"))
        page.locator("#search").fill("photo\u202egnp.exe")
        badge = page.locator("#found li .badge")
        expect(badge).to_have_text("new class")
        gap = badge.evaluate(
            """(badge) => {
                const name = document.createRange();
                name.setStartBefore(badge.parentElement.firstChild);
                name.setEndBefore(badge);
                return badge.getBoundingClientRect().left - name.getBoundingClientRect().right;
            }"""
        )
        assert gap >= 0, "what comes after the name stands in it"


def test_it_is_reviewed_by_touch_on_a_phone_and_in_the_dark(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, MODEL)
    results.forget()
    queue = results.all()
    given: dict[str, Any] = {"viewport": NARROW, "has_touch": True, "is_mobile": True}
    with visiting(browser, storing.url, color_scheme="dark", **given) as visitor:
        page = _open(visitor, results)
        visitor.check_usable()
        visitor.check_fits()
        page.get_by_role("button", name=re.compile("^Right")).tap()
        _shows(page, queue[1])
        page.locator(".choices button").nth(1).tap()
        _shows(page, queue[2])
        page.get_by_role("combobox", name="Another class").tap()
        page.keyboard.type("running")
        page.locator("#found").get_by_text("running shoe").tap()
        _shows(page, queue[3])
        page.get_by_role("button", name=re.compile("^Back")).tap()
        _shows(page, queue[2])
        page.get_by_role("button", name=re.compile("^Undo")).tap()
        _become(page, results, queue[0]["class"], queue[1]["classes"][1]["class"], None, None, None)
        expect(page.locator("#accuracy")).to_contain_text("1 of 2 right")
        visitor.check_usable()
        visitor.check_fits()
        page.evaluate("scrollTo(0, 0)")
        visitor.picture("review-phone")


def test_the_page_is_usable_with_all_that_it_has(
    browser: "Browser", storing: Server, http: httpx2.Client
) -> None:
    results = Results(http, MODEL)
    results.forget()
    with visiting(browser, storing.url) as visitor:
        page = _open(visitor, results)
        for key in ("Enter", "2", "Enter"):
            page.keyboard.press(key)
        expect(page.locator("#accuracy")).to_contain_text("2 of 3 right")
        visitor.picture("review")
        page.locator("#accuracy summary").click()
        page.keyboard.press("Escape")
        page.locator("#stage").focus()
        page.keyboard.press("/")
        page.keyboard.type("cat")
        expect(page.locator("#found li").nth(3)).to_be_visible()
        visitor.check_usable()
        visitor.check_fits()


# -- servers of their own


def test_a_server_that_goes_away_loses_nothing_and_counts_nothing_twice(
    browser: "Browser", tmp_path: Path
) -> None:
    fake_bundle(tmp_path / "models")
    given = ("--model", "fake", "--port", str(free_port()))
    errors = ["ERR_", "cannot be reached"]
    with (
        serving(tmp_path, *given, RECORD="images") as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
        visiting(browser, server.url, expected_errors=errors) as visitor,
    ):
        results = Results(http)
        results.add([*greys(), grey(200)])
        page = _open(visitor, results)
        page.keyboard.press("Enter")
        expect(page.locator("#outbox")).to_contain_text("1 stored")
        server.process.kill()
        server.process.wait()
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator("#outbox")).to_contain_text("2 waiting to be stored")
        expect(page.locator("#outbox")).to_contain_text("1 stored")
        asked: list[str] = []

        def stay(dialog: "Dialog") -> None:
            asked.append(dialog.type)
            dialog.dismiss()

        page.once("dialog", stay)
        page.get_by_role("link", name="Models").click()
        assert asked == ["beforeunload"]
        page.locator("#stage").focus()
        page.keyboard.press("/")
        page.keyboard.type("half a wo")
        with serving(tmp_path, *given, RECORD="images"):
            expect(page.locator("#outbox")).to_have_text(re.compile("3 stored in this visit *$"))
            expect(page.locator("#search")).to_have_value("half a wo")
            expect(page.locator("#accuracy")).to_contain_text("2 of 3 right")
            assert [said is None for said in results.said()] == [False, False, False, True]
            page.keyboard.press("Enter")
            _become(page, results, *results.said()[:3], "half a wo")


def test_a_key_without_rights_is_told_so(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")

    def key(*scopes: str) -> str:
        options = [word for scope in scopes for word in ("--scope", scope)]
        name = "-".join(scopes)
        return run_command("keys", "create", name, *options, home=tmp_path).stdout.strip()

    reader, everything = key("read"), key("read", "classify", "manage")
    with serving(tmp_path, "--model", "fake", RECORD="images", AUTH__ENABLED=True) as server:
        headers = {"X-API-Key": everything}
        with httpx2.Client(
            base_url=server.url, timeout=60, trust_env=False, headers=headers
        ) as http:
            results = Results(http)
            results.add(greys()[:2])
            with visiting(browser, server.url, expected_errors=["401", "403"]) as visitor:
                page = visitor.open("/review")
                page.get_by_role("dialog").get_by_label("Key").fill(reader)
                page.get_by_role("button", name="Use it").click()
                expect(page.locator("#stage figure img")).to_be_visible()
                page.locator("#stage").focus()
                page.keyboard.press("Enter")
                lacking = page.locator("#stage").get_by_role("alert")
                expect(lacking).to_contain_text("This key lacks the scope `classify`")
                expect(lacking.get_by_role("button", name="Use another key")).to_be_visible()
                _shows(page, results.all()[0])
                page.get_by_role("button", name="Download reviewed.zip").click()
                refused = page.locator("#export").get_by_role("alert")
                expect(refused).to_contain_text("This key lacks the scope `manage`")
            assert results.said() == [None, None]


def test_without_photos_it_is_said_how_to_have_them(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake") as server:
        with visiting(browser, server.url) as visitor:
            page = visitor.open("/review")
            expect(page.locator("#stage")).to_contain_text("Nothing waits to be reviewed")
            with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
                Results(http).add([photo("cat.jpg")], stored=False)
            page.reload()
            expect(page.locator("#stage figure")).to_contain_text("No photo is stored")
            expect(page.locator("#stage figure")).to_contain_text("VIEWFINDER_RECORD=images")
            visitor.check_usable()
            page.keyboard.press("s")
            expect(page.locator("#stage")).to_contain_text("That was the last one")
        server.stop()
    with (
        serving(tmp_path, "--model", "fake", RECORD="none") as server,
        visiting(browser, server.url) as visitor,
    ):
        page = visitor.open("/review")
        expect(page.locator("#recording")).to_contain_text("This server records nothing")
        visitor.check_usable()
