"""The page Live: figures of a real server under real load, compared with what was sent to it."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from PIL import Image, ImageEnhance
from tests.serving.references import with_reference
from tests.support import (
    PHOTOS,
    Server,
    encode,
    fake_bundle,
    free_port,
    grey,
    photo,
    run_command,
    serving,
)
from tests.web.browser import NARROW, PICTURES, WIDE, Visitor, expect, visiting

from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

KNOWN = 120  # photos of the reference
WINDOW = 100
DARK = 0.3
REFUSED = "unsupported_media_type"


def _photos(brightness: float, count: int) -> list[bytes]:
    """As many different photos of a few things, lit so."""
    with Image.open(PHOTOS / "espresso.jpg") as image:
        whole = image.convert("RGB").resize((256, 192))
    sections = [whole.crop((n, n // 2, 136 + n, 132 + n // 2)) for n in range(count)]
    return [encode(ImageEnhance.Brightness(one).enhance(brightness), "JPEG") for one in sections]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the fake model in two versions, and `things` that knows photos of espresso."""
    home = tmp_path_factory.mktemp("live")
    store = home / "models"
    fake_bundle(store, "fake", 1)
    fake_bundle(store, "fake", 2)
    builtin = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)
    with_reference(builtin, store / "things" / "1", _photos(1, KNOWN), home / "photos")
    settings: dict[str, Any] = {"DRIFT__PHOTOS": WINDOW, "DRIFT__PER_SECOND": 10_000}
    with serving(home, "--model", "things", **settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        yield http


def _send(client: httpx2.Client, answered: int, refused: int = 0) -> None:
    """Photos to the fake model, and files that are none."""
    for number in range(answered):
        sent = client.post("/v1/classify?model=fake@1", files={"file": grey(number % 256)})
        assert sent.status_code == 200
    for _ in range(refused):
        assert client.post("/v1/classify", files={"file": b"no photo"}).status_code == 415


def _show(client: httpx2.Client, brightness: float) -> None:
    """Photos to `things`, as many as its window has."""
    photos = _photos(brightness, KNOWN)
    for start in range(0, KNOWN, 40):
        files = [("files", photo) for photo in photos[start : start + 40]]
        client.post("/v1/batch-classify?model=things", files=files).raise_for_status()


@contextmanager
def _traffic(server: Server) -> Iterator[None]:
    """What servers get to see: photos for several versions, and files that are none."""
    over = threading.Event()
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:

        def send() -> None:
            number = 0
            while not over.wait(0.04):
                number += 1
                version = 2 if number % 5 == 0 else 1
                files = {"file": grey(number % 256)}
                client.post(f"/v1/classify?model=fake@{version}", files=files)
                if number % 3 == 0:
                    client.post("/v1/classify", files={"file": photo("espresso.jpg")})
                if number % 20 == 0:
                    client.post("/v1/classify", files={"file": b"no photo"})

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()


def _tile(page: "Page", title: str) -> "Locator":
    return page.get_by_role("region", name=title, exact=True)


def _figure(page: "Page", title: str) -> "Locator":
    return _tile(page, title).locator(".figure strong")


def _looking(page: "Page") -> None:
    """Wait until there are figures: two looks have been taken."""
    expect(_figure(page, "Requests")).to_have_text(re.compile(r"\d"))


def test_what_was_sent_is_what_is_shown(visitor: Visitor, client: httpx2.Client) -> None:
    page = visitor.open("/live")
    _looking(page)
    _send(client, 23, 4)
    row = _tile(page, "Answers").get_by_role("row", name="fake@1 only")
    expect(row.get_by_role("cell")).to_have_text(["23", "100.0%", re.compile("%"), "0.0%"])
    refused = _tile(page, "Refusals").get_by_role("listitem").filter(has_text=REFUSED)
    expect(refused.locator("b")).to_have_text("4")
    page.get_by_label("Confidence of").select_option("fake@1 only")
    columns = page.locator(".tenths > div").all_inner_texts()
    numbers = [int(found[0]) for text in columns if len(found := text.split()) == 2]
    assert sum(numbers) == 23
    expect(_figure(page, "Images")).not_to_have_text("0")
    expect(page.locator("#state")).to_contain_text("Ready")
    expect(page.locator("#server")).to_contain_text("1 worker ")


def test_a_summary_is_told_to_those_who_ask(visitor: Visitor, client: httpx2.Client) -> None:
    page = visitor.open("/live")
    _looking(page)
    _send(client, 1, 2)
    expect(_tile(page, "Refusals")).to_contain_text(REFUSED)
    assert not page.locator("#figures [aria-live], #figures [role=status]").count()
    page.get_by_role("button", name="Sum up").click()
    expect(page.get_by_role("status")).to_contain_text(f"2 {REFUSED}")
    expect(page.get_by_role("status")).to_contain_text("requests a second")


def test_drift_is_told_in_words_and_opens(visitor: Visitor, client: httpx2.Client) -> None:
    page = visitor.open("/live")
    things = page.get_by_role("region", name="Drift of things@1 int8")
    for level, brightness in (("stable", 1), ("significant", DARK)):
        _show(client, brightness)
        page.reload()
        expect(things.locator(".badge").first).to_have_text(level)
    expect(things).to_contain_text(f"against {KNOWN} of the reference")
    part = things.get_by_role("group").filter(has_text="brightness")
    expect(part).to_contain_text("significant")
    part.locator("summary").click()
    table = part.get_by_role("table")
    expect(table).to_be_visible()
    (said,) = [
        one["parts"]["brightness"]["bins"]
        for one in client.get("/v1/models/things/drift").json()["versions"]
    ]
    expect(table.locator("tbody tr")).to_have_count(len(said))
    expect(table.locator("tbody tr").first).to_contain_text(f"{said[0]['recent']:.1%}")
    with page.expect_response("**/v1/models/things/drift"):
        page.locator("#drift").dispatch_event("refresh")
    expect(table).to_be_visible()

    _send(client, 1)
    page.reload()
    fake = page.get_by_role("region", name="Drift of fake@1 only")
    expect(fake).to_contain_text("no reference")
    expect(fake.locator(".badge").first).to_have_text("no verdict")


def test_too_few_photos_are_no_verdict(browser: "Browser", tmp_path: Path) -> None:
    builtin = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)
    photos = _photos(1, 60)
    with_reference(builtin, tmp_path / "models" / "few" / "1", photos, tmp_path / "photos")
    with serving(tmp_path, "--model", "few") as server, visiting(browser, server.url) as visitor:
        page = visitor.open("/live")
        expect(page.locator("#drift")).to_contain_text("0 recent photos against 60")
        httpx2.post(f"{server.url}/v1/classify", files={"file": photos[0]}, trust_env=False)
        page.reload()
        expect(page.locator("#drift")).to_contain_text("1 recent photo against 60 of the reference")
        expect(page.locator("#drift")).to_contain_text("Too few photos")


def test_nothing_is_asked_while_it_is_paused_or_hidden(visitor: Visitor) -> None:
    visitor.page.clock.install()
    page = visitor.open("/live")

    def looks() -> int:
        return sum(url.endswith("/metrics") for url in visitor.seen.urls)

    def next_look() -> None:
        with page.expect_response("**/metrics"):
            page.clock.run_for(2_000)

    expect(page.locator("#server")).to_contain_text("worker")
    next_look()
    next_look()
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    before = looks()
    page.clock.run_for(60_000)
    assert looks() == before
    with page.expect_response("**/metrics"):
        pause.click()
    assert looks() == before + 1

    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    before = looks()
    page.clock.run_for(60_000)
    assert looks() == before
    with page.expect_response("**/metrics"):
        page.evaluate(hide, False)
    assert looks() == before + 1
    next_look()
    expect(_figure(page, "Requests")).to_have_text(re.compile(r"\d"))


def test_a_server_that_began_anew_leaves_a_gap_and_no_odd_figure(
    browser: "Browser", tmp_path: Path
) -> None:
    port = free_port()
    fake_bundle(tmp_path / "models", "fake", 1)
    begin = {"--model": "fake", "--port": str(port)}
    arguments = [part for pair in begin.items() for part in pair]
    with (
        serving(tmp_path, *arguments) as server,
        visiting(browser, server.url, expected_errors=["ERR_", "cannot be reached"]) as visitor,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        page = visitor.open("/live")
        _looking(page)
        _send(client, 50)
        row = _tile(page, "Answers").get_by_role("row", name="fake@1 only")
        expect(row.get_by_role("cell").first).to_have_text("50")
        line = _tile(page, "Requests").locator("path.line").first
        expect(line).to_have_attribute("d", re.compile(r"^M[^M]+$"))
        server.process.kill()
        server.process.wait()
        expect(page.locator("#state")).to_contain_text("Not reached")
        expect(_figure(page, "Requests")).not_to_have_text(re.compile(r"\d"))
        with serving(tmp_path, *arguments), httpx2.Client(base_url=server.url) as again:
            _looking(page)
            expect(page.locator("#state")).to_contain_text("Ready")
            _send(again, 7)
            expect(row.get_by_role("cell").first).to_have_text("57")
            expect(line).to_have_attribute("d", re.compile(r"^M[^M]+M[^M]+$"))
            assert "-" not in _tile(page, "Requests").inner_text()


def test_what_is_off_is_told_with_its_setting(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    off: dict[str, Any] = {"METRICS__ENABLED": False, "DRIFT__ENABLED": False}
    with (
        serving(tmp_path, "--model", "fake", **off) as server,
        visiting(browser, server.url, expected_errors=["404"]) as visitor,
    ):
        page = visitor.open("/live")
        expect(page.locator("#figures")).to_contain_text("VIEWFINDER_METRICS__ENABLED")
        expect(page.locator("#drift")).to_contain_text("VIEWFINDER_DRIFT__ENABLED")
        visitor.check_usable()


def test_a_key_that_may_not_look_is_told_so_by_the_server(
    browser: "Browser", tmp_path: Path
) -> None:
    fake_bundle(tmp_path / "models")
    made = run_command("keys", "create", "somebody", "--scope", "classify", home=tmp_path)
    with (
        serving(tmp_path, "--model", "fake", AUTH__ENABLED=True) as server,
        visiting(browser, server.url, expected_errors=["401", "403"]) as visitor,
    ):
        page = visitor.open("/live")
        page.get_by_role("dialog").get_by_label("Key").fill(made.stdout.strip())
        page.get_by_role("button", name="Use it").click()
        refused = httpx2.get(
            f"{server.url}/metrics", headers={"X-API-Key": made.stdout.strip()}, trust_env=False
        )
        assert refused.status_code == 403
        expect(page.locator("#figures")).to_contain_text(refused.json()["detail"])
        expect(page.locator("#state")).to_contain_text("Ready")


def test_a_part_that_is_not_ready_is_named(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "hats")
    (fake_bundle(tmp_path / "models", "shoes").folder / "graph.json").write_text("{}")
    with (
        serving(tmp_path, "--model", "hats", "--model", "shoes", until="is not ready") as server,
        visiting(browser, server.url) as visitor,
    ):
        page = visitor.open("/live")
        expect(page.locator("#state")).to_contain_text("Degraded")
        expect(page.locator("#state")).to_contain_text("model shoes: failed")


def test_a_server_that_cannot_answer_says_why(browser: "Browser", tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models").folder / "graph.json").write_text("{}")
    with (
        serving(tmp_path, "--model", "fake", until="is not ready") as server,
        visiting(browser, server.url, expected_errors=["503"]) as visitor,
    ):
        page = visitor.open("/live")
        expect(page.locator("#state")).to_contain_text("Not ready")
        expect(page.locator("#state")).to_contain_text("graph.json is not what bundle.json says")


def test_a_full_page_is_usable_on_any_screen(
    visitor: Visitor, server: Server, client: httpx2.Client
) -> None:
    _show(client, DARK)
    page = visitor.open("/live")
    theme = page.get_by_role("button", name="Change between dark and light")
    with _traffic(server):
        for _ in range(24 if os.environ.get(PICTURES) else 3):
            page.wait_for_event("response", lambda answer: answer.url.endswith("/metrics"))
        expect(_tile(page, "Answers")).to_contain_text("fake@2 only")
        visitor.picture("live")
        theme.press("Enter")
        visitor.picture("live-dark")
        part = page.locator(".parts details").filter(has_text="brightness").first
        part.locator("summary").click()
        visitor.check_usable()
        page.set_viewport_size(NARROW)
        visitor.check_usable()
        visitor.check_fits()
        theme.press("Enter")
        visitor.check_usable()
        theme.blur()
        page.evaluate("scrollTo(0, 0)")
        visitor.picture("live-phone")
        page.set_viewport_size(WIDE)
        page.locator("#drift-title").evaluate("title => scrollTo(0, title.offsetTop - 90)")
        visitor.picture("live-drift")
