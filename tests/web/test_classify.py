"""The page that takes photos: every way in, the answers, and the same request elsewhere."""

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tests.support import (
    PHOTOS,
    Server,
    encode,
    eventually,
    fake_bundle,
    free_port,
    grey,
    needs,
    photo,
    run_command,
    serving,
)
from tests.web.browser import NARROW, Visitor, drop, expect, visiting

from viewfinder.registry.bundle import write_bundle
from viewfinder.registry.manifest import Calibration

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

CAT, ESPRESSO, SANDAL = (PHOTOS / f"{name}.jpg" for name in ("cat", "espresso", "sandal"))
AT_ONCE = 4


@dataclass
class Host:
    """Another host, with one photo; it may refuse it a few times first.

    Attributes:
        url: Of the photo.
        refusals: How often still.
    """

    url: str = ""
    refusals: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    it = Host()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked.append(self.path)
            it.refusals -= 1
            self.send_response(500 if it.refusals >= 0 else 200)
            self.end_headers()
            self.wfile.write(photo("espresso.jpg"))

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_port}/espresso.jpg"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield it
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Iterator[Server]:
    """A server with the builtin model and others, that fetches photos from that host."""
    home = tmp_path_factory.mktemp("lab")
    fake_bundle(home / "models", "fake", 1)
    fake_bundle(home / "models", "fake", 2, classes=4)
    _unsure_bundle(home)
    port = host.url.split(":")[2].split("/")[0]
    settings: dict[str, Any] = {"FETCH__ENABLED": True, "FETCH__PORTS": f"80,443,{port}"}
    with serving(home, FETCH__ALLOW_PRIVATE=True, **settings) as server:
        yield server


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that fetches nothing and makes no heat maps."""
    home = tmp_path_factory.mktemp("strict")
    fake_bundle(home / "models", "fake", 1)
    with serving(home, DEFAULT_MODEL="fake", EXPLAIN__ENABLED=False) as server:
        yield server


def _unsure_bundle(home: Path) -> None:
    """A model that never relies on what it sees."""
    manifest = fake_bundle(home / "aside", "unsure").manifest
    graph = (home / "aside" / "unsure" / "1" / "graph.json").read_bytes()
    variant = manifest.variants[0].model_copy(update={"calibration": Calibration(abstain_below=1)})
    manifest = manifest.model_copy(update={"variants": (variant,)})
    write_bundle(home / "models" / "unsure" / "1", manifest, {"graph.json": graph})


@pytest.fixture
def visitor(browser: "Browser", lab: Server) -> Iterator[Visitor]:
    allowed = ["clipboard-read", "clipboard-write", "camera"]
    with visiting(browser, lab.url, permissions=allowed) as someone:
        yield someone


def _give(page: "Page", *files: Path | dict[str, Any]) -> None:
    page.locator("#files").set_input_files(list(files))


def _card(page: "Page", name: str) -> "Locator":
    return page.get_by_role("article", name=name)


def _expect_class(page: "Page", name: str, top: str) -> "Locator":
    card = _card(page, name)
    expect(card.get_by_role("heading")).to_contain_text(top)
    return card


def _drag(page: "Page", *paths: Path) -> None:
    """Drag files and folders from outside the browser to the page, and let go of them."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "dragOver", "drop"):
        if kind == "drop":  # which is taken only once the page has said that it takes it
            expect(page.locator("#target")).to_contain_class("over")
        dragged = {"type": kind, "x": 300, "y": 300, "data": data}
        session.send("Input.dispatchDragEvent", dragged)


# The ways in


def test_dropped_photos_are_answered_each_for_itself_in_the_order_given(visitor: Visitor) -> None:
    page = visitor.open("/")
    drop(page, "footer", SANDAL, ESPRESSO)
    _expect_class(page, "sandal.jpg", "sandal")
    card = _expect_class(page, "espresso.jpg", "espresso")
    bars = card.locator(".bars li")
    expect(bars).to_have_count(5)
    expect(bars.first).to_contain_text("%")
    expect(card).to_contain_text("efficientnet-lite0@1")
    expect(card).to_contain_text("72.3 kB")
    for word in ("decode", "queue", "infer", "total", "seen from here"):
        expect(card.locator(".took")).to_contain_text(word)
    expect(card.get_by_role("img", name="espresso.jpg")).to_be_visible()
    drop(page, "#target", CAT)
    _expect_class(page, "cat.jpg", "cat")
    names = [one.get_attribute("aria-label") for one in page.get_by_role("article").all()]
    assert names == ["cat.jpg", "sandal.jpg", "espresso.jpg"]


def test_of_a_dropped_folder_the_photos_are_taken(visitor: Visitor, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    for place, name in (("", "10.jpg"), ("", "9.jpg"), ("deeper", "cup.jpg")):
        shutil.copy(ESPRESSO, folder / place / name)
    (folder / "notes.txt").write_text("no photo")
    page = visitor.open("/")
    _drag(page, folder, CAT)
    expect(page.locator("#target")).not_to_contain_class("over")
    expect(page.locator("#tally")).to_have_text("4 photos")
    names = [one.get_attribute("aria-label") for one in page.get_by_role("article").all()]
    assert names == ["9.jpg", "10.jpg", "cup.jpg", "cat.jpg"]


def test_of_a_drop_with_something_unreadable_the_rest_is_taken(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.route("**/v1/classify?*", lambda _: None)
    page.evaluate(
        """() => {
            const refuse = (_, bad) => bad(new DOMException());
            const gone = { name: "gone.jpg", isFile: true, file: refuse };
            const kept = new File(["x"], "kept.jpg");
            const items = [
                { kind: "file", webkitGetAsEntry: () => gone },
                { kind: "file", webkitGetAsEntry: () => null, getAsFile: () => kept },
            ];
            const event = new DragEvent("drop");
            Object.defineProperty(event, "dataTransfer", { value: { items } });
            document.dispatchEvent(event);
        }"""
    )
    expect(_card(page, "kept.jpg")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(1)
    notice = page.get_by_role("alert").filter(has_text="cannot be read")
    expect(notice).to_contain_text("gone.jpg")
    drop(page, "footer", SANDAL)
    expect(notice).to_be_hidden()


def test_a_chosen_photo_can_be_chosen_again(visitor: Visitor) -> None:
    page = visitor.open("/")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose photos").press("Enter")
    chooser.value.set_files([ESPRESSO])
    _expect_class(page, "espresso.jpg", "espresso")
    expect(page.get_by_role("status").first).to_have_text("espresso.jpg: espresso")
    _give(page, ESPRESSO)
    expect(page.locator("#tally")).to_have_text("2 photos")
    expect(page.get_by_role("article").first.get_by_text("cached")).to_be_visible()


def test_a_photo_is_pasted(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.evaluate(
        """async (bytes) => {
            const blob = new Blob([new Uint8Array(bytes)], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }""",
        list(encode(Image.open(ESPRESSO).resize((300, 200)))),
    )
    page.keyboard.press("Control+V")
    _expect_class(page, "image.png", "espresso")


def test_an_address_is_pasted_or_typed_and_the_server_fetches_it(
    visitor: Visitor, host: Host
) -> None:
    page = visitor.open("/")
    page.evaluate("(url) => navigator.clipboard.writeText(url)", host.url)
    page.keyboard.press("Control+V")
    card = _expect_class(page, host.url, "espresso")
    expect(card.get_by_role("link")).to_have_attribute("href", host.url)
    field = page.get_by_label("Address of a photo")
    field.press("Control+V")
    expect(field).to_have_value(host.url)
    field.press("Enter")
    expect(page.locator("#tally")).to_have_text("2 photos")
    expect(field).to_have_value("")
    code = page.locator("#code")
    expect(code).to_contain_text("--json")
    assert '"class":"espresso"' in _run_curl(code.inner_text(), PHOTOS)


def test_the_camera_takes_a_photo_and_is_let_go(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.get_by_role("button", name="Use camera").press("Enter")
    expect(page.get_by_role("button", name="Take photo")).to_be_focused()
    page.evaluate("window.tracks = document.querySelector('video').srcObject.getTracks()")
    visitor.check_usable()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(_card(page, "camera-1.jpg").locator(".bars")).to_be_visible()
    eventually(lambda: page.evaluate("window.tracks.every((one) => one.readyState === 'ended')"))

    page.get_by_role("button", name="Use camera").click()
    expect(page.get_by_role("button", name="Take photo")).to_be_enabled()
    page.evaluate("window.tracks = document.querySelector('video').srcObject.getTracks()")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    eventually(lambda: page.evaluate("window.tracks.every((one) => one.readyState === 'ended')"))
    expect(page.get_by_role("button", name="Use camera")).to_be_focused()


def test_a_camera_that_is_not_allowed_is_told_of_plainly(browser: "Browser", lab: Server) -> None:
    with visiting(browser, lab.url) as visitor:
        page = visitor.open("/")
        page.get_by_role("button", name="Use camera").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("alert")).to_contain_text("does not let this page use the camera")
        expect(dialog.get_by_role("button", name="Take photo")).to_be_disabled()
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()


# What is chosen


def test_a_chosen_model_and_number_of_classes_are_kept(visitor: Visitor) -> None:
    page = visitor.open("/")
    model = page.get_by_label("Model")
    expect(model.locator("option").first).to_have_text("efficientnet-lite0 (default)")
    model.select_option("fake@2")
    page.get_by_label("Classes").fill("2")
    with page.expect_response("**/v1/models"):
        page.dispatch_event("#models", "refresh")
    page.wait_for_load_state("networkidle")
    expect(model).to_have_value("fake@2")
    _give(page, CAT)
    expect(_card(page, "cat.jpg")).to_contain_text("fake@2")
    expect(_card(page, "cat.jpg").locator(".bars li")).to_have_count(2)
    expect(page.locator("#code")).to_contain_text("/v1/classify?model=fake@2&top_k=2")

    model.select_option("unsure")
    _card(page, "cat.jpg").get_by_role("button", name="Ask again").click()
    expect(_card(page, "cat.jpg")).to_contain_text("unsure@1")
    expect(_card(page, "cat.jpg").get_by_text("not sure", exact=True)).to_be_visible()
    expect(_card(page, "cat.jpg")).to_contain_text("best guess")


def test_nothing_is_sent_and_nothing_lost_while_the_number_of_classes_is_wrong(
    visitor: Visitor,
) -> None:
    page = visitor.open("/")
    classes = page.get_by_label("Classes")
    notice = page.get_by_role("alert").filter(has_text="a whole number from 1 to 100")
    for number, wrong in enumerate(("0", "-5", "101", "5.5"), 1):
        classes.fill(wrong)
        _give(page, CAT)
        expect(notice).to_contain_text(f"{number} photo")
        expect(classes).to_be_focused()
        assert classes.evaluate("(field) => field.matches(':invalid')")
    visitor.check_usable()
    classes.fill("3")
    classes.press("Enter")
    expect(page.locator("#tally")).to_have_text("4 photos")
    expect(page.locator(".bars li")).to_have_count(12)
    expect(notice).to_be_hidden()

    classes.fill("0")
    page.get_by_role("button", name="Ask again").first.click()
    expect(classes).to_be_focused()
    assert len([url for url in visitor.seen.urls if "/v1/classify" in url]) == 4


# What goes wrong


def test_photos_wait_for_a_server_that_takes_no_more(browser: "Browser", tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "fake", 1)
    limit: dict[str, Any] = {"RATE_LIMIT__REQUESTS": 7, "RATE_LIMIT__WINDOW_S": 4}
    with (
        serving(tmp_path, DEFAULT_MODEL="fake", RATE_LIMIT__ENABLED=True, **limit) as server,
        visiting(browser, server.url, expected_errors=["429"]) as visitor,
    ):
        page = visitor.open("/")
        _give(page, *_greys(16))
        notice = page.get_by_text(re.compile(r"takes no more just now; going on in [1-4] s"))
        expect(notice).to_be_visible()
        expect(page.get_by_role("status").first).to_contain_text("takes no more just now")
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        visitor.check_usable()
        expect(page.locator("#tally")).to_have_text("16 photos")
        expect(notice).to_be_hidden()
        expect(page.locator(".bars")).to_have_count(16)


def test_a_photo_that_is_refused_again_and_again_has_failed(
    browser: "Browser", tmp_path: Path
) -> None:
    fake_bundle(tmp_path / "models", "fake", 1)
    limit: dict[str, Any] = {"RATE_LIMIT__REQUESTS": 1, "RATE_LIMIT__WINDOW_S": 3600}
    with (
        serving(tmp_path, DEFAULT_MODEL="fake", RATE_LIMIT__ENABLED=True, **limit) as server,
        visiting(browser, server.url, expected_errors=["429"]) as visitor,
    ):
        visitor.page.clock.install()
        page = visitor.open("/")
        expect(page.get_by_label("Model").locator("option").first).to_contain_text("fake")
        with page.expect_response("**/v1/classify*"):
            _give(page, CAT)
        for _ in range(9):
            expect(page.get_by_text(re.compile(r"going on in [56]\d s"))).to_be_visible()
            with page.expect_response("**/v1/classify*"):
                page.clock.fast_forward(61_000)
                page.clock.run_for(1000)
        expect(_card(page, "cat.jpg").get_by_role("alert")).to_contain_text("are the limit")
        expect(page.get_by_text("going on in")).to_be_hidden()
        # Models were refused too; they can be chosen all the same.
        expect(page.locator("#models")).to_contain_text("are the limit")
        expect(page.get_by_label("Model").locator("option").first).to_have_text("fake (default)")


def test_a_zip_is_not_sent_but_shown_the_way_to_jobs(visitor: Visitor) -> None:
    page = visitor.open("/")
    _give(page, {"name": "photos.zip", "mimeType": "application/zip", "buffer": b"PK"})
    refused = _card(page, "photos.zip").get_by_role("alert")
    expect(refused.get_by_role("link", name="New job")).to_have_attribute("href", "/activity#jobs")
    assert not [url for url in visitor.seen.urls if "/v1/classify" in url]


def test_what_cannot_be_answered_has_the_reason_in_place_of_an_answer(
    browser: "Browser", strict: Server, tmp_path: Path
) -> None:
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.jpg"
    text.write_text("This is no photo.")
    empty.write_bytes(b"")
    with visiting(browser, strict.url, expected_errors=["40[03]", "41[35]", "422"]) as visitor:
        page = visitor.open("/")
        _give(page, text, empty, ESPRESSO)
        expect(_card(page, "text.jpg").get_by_role("alert")).to_contain_text("not JPEG, PNG")
        expect(_card(page, "empty.jpg").get_by_role("alert")).to_have_text("The body is empty.")
        _expect_class(page, "espresso.jpg", "step-")
        expect(page.locator("#tally")).to_have_text("3 photos, 2 failed")
        expect(page.get_by_role("status").first).to_contain_text("1 answered, 2 failed")

        page.get_by_label("Address of a photo").fill("http://127.0.0.1:1/photo.jpg")
        page.get_by_role("button", name="Fetch").click()
        card = _card(page, "http://127.0.0.1:1/photo.jpg")
        expect(card.get_by_role("alert")).to_contain_text("does not fetch images by URL")
        visitor.check_usable()

        page.unroute("**/*")  # it would carry the whole body to this process
        large = tmp_path / "large.jpg"
        large.write_bytes(b"\xff\xd8\xff" + bytes(12_000_000))
        _give(page, large)
        expect(_card(page, "large.jpg").get_by_role("alert")).to_contain_text("over the limit")


def test_what_failed_is_asked_again_alone_or_with_all_that_failed(
    browser: "Browser", lab: Server, host: Host
) -> None:
    with visiting(browser, lab.url, expected_errors=["422"]) as visitor:
        page = visitor.open("/")
        host.refusals = 3
        urls = [f"{host.url}?{number}" for number in range(3)]
        for url in urls:
            page.get_by_label("Address of a photo").fill(url)
            page.get_by_role("button", name="Fetch").click()
        expect(page.locator("#tally")).to_have_text("3 photos, 3 failed")
        _card(page, urls[0]).get_by_role("button", name="Try again").click()
        _expect_class(page, urls[0], "espresso")
        expect(page.locator("#tally")).to_have_text("3 photos, 2 failed")
        page.get_by_role("button", name="Try failed ones again").click()
        expect(page.locator("#tally")).to_have_text("3 photos")


def test_a_file_that_has_gone_is_not_taken_for_a_server_that_has_gone(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.open("/")
    gone = tmp_path / "gone.jpg"
    shutil.copy(ESPRESSO, gone)
    _give(page, gone)
    card = _expect_class(page, "gone.jpg", "espresso")
    gone.unlink()
    card.get_by_role("button", name="Ask again").click()
    expect(card.get_by_role("alert")).to_contain_text("cannot be read")
    expect(page.get_by_text("The server cannot be reached")).to_be_hidden()


def test_photos_wait_for_a_server_that_is_away(browser: "Browser", tmp_path: Path) -> None:
    port = free_port()
    fake_bundle(tmp_path / "models", "fake", 1)
    with (
        serving(tmp_path, "--port", str(port), DEFAULT_MODEL="fake") as server,
        visiting(browser, server.url, expected_errors=["ERR_"]) as visitor,
    ):
        page = visitor.open("/")
        _give(page, *_greys(1))
        expect(page.locator("#tally")).to_have_text("1 photo")
        server.process.kill()
        server.process.wait()
        _give(page, *_greys(7))
        refused = page.get_by_role("alert").filter(has_text="The server cannot be reached.")
        expect(page.get_by_role("button", name="Try again")).to_have_count(AT_ONCE)
        expect(page.get_by_role("heading", name="Waiting")).to_have_count(7 - AT_ONCE)
        page.get_by_role("button", name="Try again").first.click()
        expect(page.get_by_role("heading", name="Waiting")).to_have_count(0)
        expect(refused.first).to_be_visible()
        with serving(tmp_path, "--port", str(port), DEFAULT_MODEL="fake"):
            expect(page.locator("#tally")).to_have_text("8 photos")
            expect(page.locator(".bars")).to_have_count(8)


# Many


def _greys(number: int) -> list[dict[str, Any]]:
    return [
        {"name": f"{one}.png", "mimeType": "image/png", "buffer": grey(255 * one // number)}
        for one in range(number)
    ]


def test_of_many_photos_four_are_on_their_way_and_the_rest_waits(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.get_by_label("Model").select_option("fake")
    held: list[Route] = []
    is_open = threading.Event()

    def hold(route: "Route") -> None:
        if is_open.is_set():
            route.fallback()
        else:
            held.append(route)

    page.route("**/v1/classify?*", hold)
    _give(page, *_greys(120))
    expect(page.get_by_role("heading", name="Asking…")).to_have_count(AT_ONCE)
    expect(page.get_by_role("heading", name="Waiting")).to_have_count(120 - AT_ONCE)
    visitor.until(lambda: len(held) >= AT_ONCE)  # the headings are there before the requests
    assert len(held) == AT_ONCE
    expect(page.locator("#tally")).to_have_text("0 of 120")
    visitor.check_fits()
    held.pop(0).fallback()
    expect(page.locator("#tally")).to_have_text("1 of 120")
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 1)
    visitor.until(lambda: len(held) >= AT_ONCE)
    assert len(held) == AT_ONCE
    is_open.set()
    for route in held:
        route.fallback()
    expect(page.locator("#tally")).to_have_text("120 photos")
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.locator(".bars")).to_have_count(120)


def test_clearing_forgets_all_photos_also_those_on_their_way(
    browser: "Browser", lab: Server
) -> None:
    with visiting(browser, lab.url, expected_errors=["ERR_FILE_NOT_FOUND"]) as visitor:
        page = visitor.open("/")
        _give(page, ESPRESSO)
        source = _card(page, "espresso.jpg").get_by_role("img").get_attribute("src")
        page.route("**/v1/classify?*", lambda _: None)
        _give(page, *_greys(6))
        expect(page.get_by_role("heading", name="Asking…")).to_have_count(AT_ONCE)
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("No photos yet")).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(0)
        expect(page.get_by_role("button", name="Choose photos")).to_be_focused()
        is_kept = """(source) => new Promise((done) => {
            const image = new Image();
            image.onload = () => done(true);
            image.onerror = () => done(false);
            image.src = source;
        })"""
        assert page.evaluate(is_kept, source) is False
        page.unroute("**/v1/classify?*")
        _give(page, CAT)
        _expect_class(page, "cat.jpg", "cat")


def test_more_photos_than_the_page_holds_are_left_out_and_told_of(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.route("**/v1/classify?*", lambda _: None)
    page.evaluate(
        """() => {
            const transfer = new DataTransfer();
            for (let one = 0; one < 1003; one += 1) {
                transfer.items.add(new File(["x"], `${one}.jpg`));
            }
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
        }"""
    )
    notice = page.locator("#left-out")
    expect(notice).to_contain_text("3 were left out")
    expect(page.locator("article")).to_have_count(1000)
    page.locator("#clear").click()
    expect(notice).to_be_hidden()


# What the model looked at

# Where on the photo the picture over it has its strongest colour, as fractions of the photo.
STRONGEST = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let best = 3;
    for (let at = 3; at < data.length; at += 4) if (data[at] > data[best]) best = at;
    const [x, y] = [((best - 3) / 4) % canvas.width, Math.floor((best - 3) / 4 / canvas.width)];
    const over = canvas.getBoundingClientRect();
    const photo = canvas.parentElement.querySelector("img").getBoundingClientRect();
    return [
        (over.x + (x / canvas.width) * over.width - photo.x) / photo.width,
        (over.y + (y / canvas.height) * over.height - photo.y) / photo.height,
    ];
}"""


def test_the_heat_map_lies_over_what_the_model_looked_at(visitor: Visitor) -> None:
    canvas = Image.new("RGB", (480, 480), (200, 200, 200))
    canvas.paste(Image.open(ESPRESSO).resize((240, 160)), (20, 300))
    shown = {"name": "corner.png", "mimeType": "image/png", "buffer": encode(canvas)}
    page = visitor.open("/")
    _give(page, shown)
    expect(_card(page, "corner.png").locator(".bars")).to_be_visible()
    button = page.get_by_role("button", name="Show what it looked at")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    heat = _card(page, "corner.png").get_by_role("img", name="Heat map")
    expect(heat).to_be_visible()
    x, y = heat.evaluate(STRONGEST)
    assert 20 / 480 < x < 260 / 480
    assert 300 / 480 < y < 460 / 480
    account = page.locator(".account")
    expect(account).to_contain_text("at the bottom left of the photo")
    expect(account).to_contain_text("Occlusion: parts of the photo were covered")
    expect(account).to_contain_text("little")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#code")).to_contain_text("explain=heatmap")
    asked = len([url for url in visitor.seen.urls if "explain" in url])
    button.click()
    expect(heat).to_be_hidden()
    expect(account).to_be_hidden()
    expect(page.locator("#code")).not_to_contain_text("explain")
    button.click()
    expect(heat).to_be_visible()
    assert asked == len([url for url in visitor.seen.urls if "explain" in url]) == 1


def test_a_server_that_makes_no_heat_maps_says_so_once(browser: "Browser", strict: Server) -> None:
    with visiting(browser, strict.url, expected_errors=["422"]) as visitor:
        page = visitor.open("/")
        _give(page, CAT, SANDAL)
        button = page.get_by_role("button", name="Show what it looked at")
        expect(button).to_have_count(2)
        button.first.click()
        expect(page.get_by_role("alert").filter(has_text="heat maps")).to_have_count(1)
        expect(button).to_have_count(0)
        _give(page, ESPRESSO)
        expect(_card(page, "espresso.jpg").locator(".bars")).to_be_visible()
        expect(button).to_have_count(0)


# The same request


def _run_curl(code: str, folder: Path, **environment: str) -> str:
    needs("curl (apt-get install curl)", met=shutil.which("curl") is not None)
    return _run(
        ["sh", "-c", code.replace("curl", "curl --silent --show-error --fail", 1)],
        folder,
        environment,
    )


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _copied(page: "Page") -> str:
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_the_copied_code_does_what_the_page_has_done(visitor: Visitor, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s "a" cup.jpg'
    shutil.copy(ESPRESSO, odd)
    page = visitor.open("/")
    code = page.locator("#code")
    expect(code).to_contain_text("photo.jpg")
    page.get_by_label("Classes").fill("3")
    page.get_by_label("Classes").press("Enter")
    expect(code).to_contain_text("top_k=3")
    _give(page, odd)
    card = page.get_by_role("article")
    expect(card.get_by_role("heading")).to_contain_text("espresso")
    # What is chosen now is for the next photo.
    page.get_by_label("Model").select_option("fake@2")
    page.get_by_label("Classes").fill("2")
    page.get_by_label("Classes").press("Enter")
    curl = _run_curl(_copied(page), tmp_path)
    assert '"class":"espresso"' in curl
    assert curl.count('"index"') == 3

    page.get_by_role("tab", name="curl").press("ArrowRight")
    expect(page.get_by_role("tab", name="Python")).to_be_focused()
    expect(page.get_by_role("tab", name="Python")).to_have_attribute("aria-selected", "true")
    assert _run([sys.executable, "-c", _copied(page)], tmp_path, {}).startswith("espresso 0.9")

    card.get_by_role("button", name="Show what it looked at").click()
    expect(code).to_contain_text("model=efficientnet-lite0@1&top_k=3&explain=heatmap")
    page.get_by_role("tab", name="curl").click()
    assert '"explanation":{"method"' in _run_curl(_copied(page), tmp_path)
    page.get_by_role("button", name="Clear").click()
    expect(code).to_contain_text("model=fake@2&top_k=2")
    expect(code).to_contain_text("photo.jpg")


def test_the_copied_code_names_the_key_and_does_not_hold_it(
    browser: "Browser", tmp_path: Path
) -> None:
    fake_bundle(tmp_path / "models", "fake", 1)
    made = run_command("keys", "create", "me", "--scope", "classify", home=tmp_path)
    key = made.stdout.strip()
    allowed = ["clipboard-read", "clipboard-write"]
    with (
        serving(tmp_path, AUTH__ENABLED=True, DEFAULT_MODEL="fake") as server,
        visiting(browser, server.url, permissions=allowed, expected_errors=["40[13]"]) as visitor,
    ):
        page = visitor.open("/")
        page.get_by_role("dialog").get_by_label("Key").fill(key)
        page.get_by_role("button", name="Use it").click()
        # This key may send photos, and not look at models: the default answers.
        expect(page.locator("#models")).to_contain_text("read")
        expect(page.get_by_label("Model").locator("option")).to_have_text(["Default model"])
        visitor.check_usable()
        _give(page, CAT)
        expect(_card(page, "cat.jpg")).to_contain_text("fake@1")
        code = _copied(page)
        assert "$KEY" in code
        assert key not in page.content()
        assert '"class":"step-' in _run_curl(code, PHOTOS, KEY=key)
        page.get_by_role("tab", name="Python").click()
        code = _copied(page)
        assert _run([sys.executable, "-c", code], PHOTOS, {"KEY": key}).startswith("step-")


# How it looks


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classify", {}),
        ("classify-dark", {"color_scheme": "dark"}),
        ("classify-phone", {"viewport": NARROW}),
    ],
)
def test_the_page_is_usable_and_fits_with_answers_on_it(
    browser: "Browser", lab: Server, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    espresso, notes = tmp_path / "espresso.jpg", tmp_path / "notes.jpg"
    espresso.write_bytes(photo("espresso.jpg") + name.encode())  # not known to the server's cache
    endless = tmp_path / f"{'endless-name-' * 9}.jpg"
    for file in (notes, endless):
        file.write_text("This is no photo.")
    with visiting(browser, lab.url, expected_errors=["415"], **options) as visitor:
        page = visitor.open("/")
        _give(page, espresso, notes)
        expect(page.locator("#tally")).to_have_text("2 photos, 1 failed")
        card = _card(page, "espresso.jpg")
        card.locator(".took").scroll_into_view_if_needed()
        visitor.picture(name)
        card.get_by_role("button", name="Show what it looked at").click()
        expect(card.locator(".frame canvas")).to_be_visible()
        if name == "classify":
            page.set_viewport_size({"width": 1280, "height": 680})
            visitor.picture("classify-heatmap")
        _give(page, CAT, SANDAL, endless)
        expect(page.locator("#tally")).to_have_text("5 photos, 2 failed")
        visitor.check_usable()
        visitor.check_fits()
