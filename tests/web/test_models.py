"""The page of models: who answers, how good each version is, and changes by clicking."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.support import Server, eventually, fake_bundle, free_port, run_command, serving
from tests.web.browser import NARROW, Visitor, expect, visiting
from tests.web.clothing import LABELS, NAME, measured, shade, unmeasured

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = b"""<!doctype html><title>fine</title>
<meta http-equiv="refresh" content="0; url=/static/icon.svg">
<base href="http://evil.example/"><link rel="stylesheet" href="http://evil.example/x.css">
<style>h1 { color: rgb(1, 2, 3); background: url(http://evil.example/style.png) }</style>
<h1>A report</h1>
<script>top.document.title = "taken"; document.title = "taken"</script>
<script src="/static/js/theme.js"></script>
<img src=x onerror="document.title = 'taken'"><img src="http://evil.example/img.png">
<svg onload="document.title = 'taken'"></svg><iframe srcdoc="<script>alert(1)</script>"></iframe>
<form action="http://evil.example/" method="post"><button>Send</button></form>
<a href="http://evil.example/" target="_top">Away</a> <a href="#there">There</a>
<a href="javascript:document.title = 'taken'">Script</a> <p id="there">Below</p>"""

# Sealed as it is, and nothing that Viewfinder would write.
ODD = b"""{"splits": {"test": {"accuracy": {"value": 1}, "classes": [7], "confusion": 3}},
"history": 5, "ladder": {"rows": [null]}}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clothing")
    unmeasured(folder / "models", 1)
    measured(folder / "models", 2)
    unmeasured(folder / "models", 3, swapped=True)
    unmeasured(folder / "models", 4, proved=False)
    measured(folder / "hostile", 1, **{"report.html": HOSTILE, "evaluation.json": ODD})
    (folder / "hostile" / NAME).rename(folder / "models" / "hats")
    manifest = folder / "models" / "hats" / "1" / "bundle.json"
    manifest.write_text(manifest.read_text().replace(f'"{NAME}"', '"hats"', 1))
    return folder


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Server]:
    settings = {"STORE_POLL_S": "0.2", "THREADS": "2"}
    with serving(home, "--model", NAME, **settings) as server:
        yield server


@pytest.fixture
def api(running: Server) -> Iterator[httpx2.Client]:
    """A client of the models; version 2 is `stable`, and there is no other routing."""
    base = f"{running.url}/v1/models/"
    with httpx2.Client(base_url=base, timeout=60, trust_env=False) as http:
        http.delete(f"{NAME}/traffic")
        for alias in http.get(NAME).json()["aliases"].keys() - {"latest"}:
            http.delete(f"{NAME}/aliases/{alias}")
        assert http.put(f"{NAME}/aliases/stable", json={"version": 2}).status_code == 200
        yield http


@pytest.fixture
def visitor(browser: "Browser", running: Server) -> Iterator[Visitor]:
    with visiting(browser, running.url, expected_errors=["422", "503"]) as someone:
        yield someone


def _dialog(page: "Page", button: str) -> "Locator":
    page.locator("main").get_by_role("button", name=button, exact=True).click()
    return page.get_by_role("dialog")


def _scroll_to(page: "Page", selector: str) -> None:
    """Have a part's heading right below the head of the page."""
    page.locator(selector).evaluate(
        "(it) => scrollTo(0, scrollY + it.getBoundingClientRect().top - 100)"
    )


def _says(page: "Page", text: str) -> None:
    expect(page.locator("#said")).to_contain_text(text)
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_page_opens_with_the_default_model_and_its_versions(
    visitor: Visitor, api: httpx2.Client
) -> None:
    assert api.get(NAME).status_code == 200
    page = visitor.open("/models")
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    expect(page.get_by_text("Version 2 answers: it is stable.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="stable")
    expect(row).to_contain_text("93.3%")
    expect(row).to_contain_text("5.4 ms, 4.0 MB")
    expect(row).to_contain_text("ready")
    expect(page.get_by_role("row").filter(has_text="not measured").first).to_be_visible()
    page.get_by_role("navigation", name="Models").get_by_role("link", name="hats").click()
    expect(page.get_by_role("heading", name="hats")).to_be_focused()
    assert page.url.endswith("#hats")


def test_a_version_shows_its_ladder_its_weakest_classes_and_what_it_confuses(
    visitor: Visitor, api: httpx2.Client
) -> None:
    page = visitor.open("/models")
    expect(page.get_by_role("row").filter(has_text="stable")).to_contain_text("93.3%")
    visitor.check_usable()
    visitor.check_fits()
    page.get_by_role("link", name="Version 2", exact=True).click()
    expect(page.get_by_role("heading", name=f"{NAME} version 2")).to_be_focused()
    plot = page.get_by_role("img", name="Right against milliseconds")
    expect(plot).to_be_visible()
    said = plot.get_attribute("aria-label") or ""
    assert "int8 91.8% in 5.4 ms, 4.0 MB, recommended" in said
    assert "float32 91.2% in 11 ms, 13.5 MB;" in said
    ladder = page.get_by_role("region", name="Variants as a table")
    expect(ladder.get_by_role("row").filter(has_text="served")).to_contain_text("int8")
    expect(page.get_by_text("likely 90% to 95%, from 372 photos it has never seen")).to_be_visible()
    expect(page.get_by_text("ECE; 0.100 without calibration")).to_be_visible()
    classes = page.get_by_role("region", name="Classes, the weakest first").get_by_role("row")
    expect(classes.nth(1)).to_contain_text("shirt")
    expect(classes).to_have_count(11)
    matrix = page.get_by_role("region", name="Confusion matrix")
    expect(matrix.get_by_role("row", name="t-shirt 5 47")).to_be_visible()
    expect(page.get_by_role("img", name="over 32 epochs; 91.2% of")).to_be_visible()
    page.get_by_text("Where it comes from").click()
    expect(page.get_by_role("link", name="version 1", exact=True)).to_be_visible()
    page.get_by_text("Where it comes from").click()
    visitor.check_usable()
    visitor.check_fits()
    _scroll_to(page, "#version-title")
    visitor.picture("models-version")
    assert api.get(f"{NAME}/versions/2/documents").json()["documents"]


@pytest.mark.parametrize(("scheme", "size"), [("dark", None), ("light", NARROW)])
def test_a_version_is_readable_in_the_dark_and_on_a_phone(
    browser: "Browser",
    running: Server,
    api: httpx2.Client,
    scheme: str,
    size: dict[str, int] | None,
) -> None:
    api.put(
        f"{NAME}/traffic",
        json={"split": [{"version": 2, "percent": 90}, {"version": 3, "percent": 10}], "shadow": 1},
    )
    options: dict[str, Any] = {"viewport": size} if size else {}
    with visiting(browser, running.url, color_scheme=scheme, **options) as visitor:
        page = visitor.open("/models#clothing@2")
        expect(page.get_by_role("region", name="Confusion matrix")).to_be_visible()
        expect(page.get_by_role("heading", name="Shadow: version 1")).to_be_visible()
        visitor.check_usable()
        visitor.check_fits()
        visitor.picture("models-phone" if size else "models-dark")


def test_a_version_is_promoted_and_rolled_back_by_clicking(
    visitor: Visitor, api: httpx2.Client
) -> None:
    page = visitor.open("/models")
    dialog = _dialog(page, "Promote version 3")
    expect(dialog).to_contain_text("Until then version 2 goes on answering.")
    visitor.check_usable()
    dialog.get_by_role("button", name="Promote").click()
    _says(page, "Version 3 of clothing is stable now.")
    assert api.get(NAME).json()["aliases"]["stable"] == 3
    expect(page.get_by_text("Version 3 answers: it is stable.")).to_be_visible()

    dialog = _dialog(page, "Roll back to 2")
    expect(dialog).to_contain_text("Version 2 will answer again in place of version 3.")
    dialog.get_by_role("button", name="Roll back").click()
    _says(page, "version 2 answers")
    assert api.get(NAME).json()["aliases"]["stable"] == 2
    visitor.picture("models")


def test_a_canary_and_a_shadow_run_beside_each_other_and_are_compared(
    visitor: Visitor, api: httpx2.Client, running: Server
) -> None:
    page = visitor.open("/models")
    dialog = _dialog(page, "Canary")
    canary = dialog.get_by_label("Version 3")
    expect(dialog).to_contain_text("Together 100%")
    dialog.get_by_label("Version 2").fill("60")
    canary.fill("30")
    dialog.get_by_label("Version 4").fill("0")
    expect(dialog).to_contain_text("Together 90%, and it has to be 100%.")
    dialog.get_by_role("button", name="Split").click()
    expect(dialog).to_be_visible()
    assert api.get(NAME).json()["traffic"] is None
    canary.fill("40")
    dialog.get_by_role("button", name="Split").click()
    _says(page, "clothing is split: 40% version 3 and 60% version 2.")
    assert api.get(NAME).json()["traffic"]["split"] == [
        {"version": 3, "percent": 40},
        {"version": 2, "percent": 60},
    ]

    dialog = _dialog(page, "Shadow")
    dialog.get_by_label("Version").select_option("1")
    dialog.get_by_role("button", name="Start the shadow").click()
    _says(page, "Version 1 of clothing is its shadow now.")
    traffic = api.get(NAME).json()["traffic"]
    assert (traffic["shadow"], len(traffic["split"])) == (1, 2)

    _ask(running, 60)
    eventually(lambda: api.get(NAME).json()["shadow"]["compared"] == 60)
    page.reload()
    table = page.get_by_role("table", name="The versions of the split, compared")
    for version in (2, 3):
        row = table.get_by_role("row", name=f"Version {version}")
        expect(row).to_contain_text("%")
        expect(row).to_contain_text("reviewed")
    shadow = page.get_by_role("region", name="Traffic")
    agreement = api.get(NAME).json()["shadow"]["agreement"]
    assert 0.8 <= agreement < 1
    expect(shadow).to_contain_text(f"{100 * agreement:.1f}%")
    expect(shadow).to_contain_text("of 60 photos")
    visitor.check_usable()
    visitor.check_fits()
    _scroll_to(page, "#traffic-title")
    visitor.picture("models-traffic")

    _dialog(page, "End the shadow").get_by_role("button", name="End the shadow").click()
    _says(page, "no shadow any more")
    assert api.get(NAME).json()["traffic"]["shadow"] is None
    _dialog(page, "End the split").get_by_role("button", name="End the split").click()
    _says(page, "The split of clothing has ended: version 2 answers.")
    assert api.get(NAME).json()["traffic"] is None


def _ask(server: Server, photos: int) -> None:
    """Have photos answered, and a few of the answers reviewed."""
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        found = []
        for number in range(photos):
            label = LABELS[number % len(LABELS)]
            answer = http.post("/v1/classify", files={"file": shade(label, number)})
            found.append((answer.json()["id"], label))
        for identifier, label in found[::3]:
            _review(http, f"/v1/results/{identifier}", label)


def _review(http: httpx2.Client, path: str, label: str) -> None:
    eventually(lambda: http.get(path).status_code == 200)
    assert http.put(f"{path}/feedback", json={"label": label}).status_code == 200


def test_promoting_the_canary_ends_its_split(visitor: Visitor, api: httpx2.Client) -> None:
    split = [{"version": 2, "percent": 90}, {"version": 3, "percent": 10}]
    api.put(f"{NAME}/traffic", json={"split": split, "shadow": 1})
    page = visitor.open("/models")
    expect(page.get_by_text("Version 2 answers 90% and version 3 answers 10%")).to_be_visible()
    dialog = _dialog(page, "Promote version 3")
    expect(dialog.get_by_label("End the split")).to_be_checked()
    dialog.get_by_role("button", name="Promote").click()
    _says(page, "Version 3 of clothing is stable now.")
    answer = api.get(NAME).json()
    assert answer["aliases"]["stable"] == 3
    assert answer["traffic"] == {"split": [], "shadow": 1}


def test_an_alias_is_set_refused_in_the_servers_words_and_removed(
    visitor: Visitor, api: httpx2.Client
) -> None:
    page = visitor.open("/models")
    dialog = _dialog(page, "Aliases")
    dialog.get_by_label("Alias", exact=True).fill("latest")
    dialog.get_by_label("Version").select_option("1")
    dialog.get_by_role("button", name="Set alias").click()
    refused = api.put(f"{NAME}/aliases/latest", json={"version": 1}).json()["detail"]
    expect(dialog.get_by_role("alert")).to_have_text(refused)
    assert dialog.get_by_label("Version").input_value() == "1"
    dialog.get_by_label("Alias", exact=True).fill("night")
    dialog.get_by_role("button", name="Set alias").click()
    _says(page, "clothing@night means version 1 now.")
    assert api.get(NAME).json()["aliases"]["night"] == 1

    expect(page.get_by_role("row").filter(has_text="night")).to_contain_text("Version 1")
    dialog = _dialog(page, "Aliases")
    assert dialog.get_by_label("Alias", exact=True).input_value() == ""
    dialog.get_by_role("button", name="Remove night").click()
    expect(dialog).to_contain_text("clothing@night will mean nothing any more")
    dialog.get_by_role("button", name="Remove").click()
    _says(page, "no alias night")
    assert "night" not in api.get(NAME).json()["aliases"]


def test_versions_come_into_memory_and_leave_it(visitor: Visitor, api: httpx2.Client) -> None:
    api.post(f"{NAME}/versions/1/unload")
    page = visitor.open("/models")
    row = page.get_by_role("row").filter(has_text="Version 1")
    expect(row).to_contain_text("unloaded")
    _dialog(page, "Load version 1").get_by_role("button", name="Load").click()
    _says(page, "Version 1 of clothing is loaded.")
    expect(row).to_contain_text("ready")
    _dialog(page, "Unload version 1").get_by_role("button", name="Unload").click()
    _says(page, "out of memory")
    states = {one["version"]: one["state"] for one in api.get(NAME).json()["versions"]}
    assert states[1] == "unloaded"
    _dialog(page, "Reload the store").get_by_role("button", name="Reload").click()
    expect(page.locator("#said")).to_contain_text("The store was looked at")


def test_a_version_that_fails_its_golden_photos_says_why(
    visitor: Visitor, api: httpx2.Client
) -> None:
    page = visitor.open("/models#clothing@4")
    dialog = _dialog(page, "Promote version 4")
    dialog.get_by_role("button", name="Promote").click()
    expect(dialog.get_by_role("alert")).to_contain_text("golden")
    dialog.get_by_role("button", name="Cancel").click()
    assert api.get(NAME).json()["aliases"]["stable"] == 2
    (reason,) = [v["reason"] for v in api.get(NAME).json()["versions"] if v["version"] == 4]
    expect(page.locator(".why")).to_have_text(f"Version 4: {reason}.")
    opened = page.get_by_role("region", name=f"{NAME} version 4")
    expect(opened.get_by_role("alert")).to_contain_text(reason)
    expect(page.get_by_role("button", name="Try again version 4")).to_be_visible()
    visitor.check_usable()


def test_what_happens_meanwhile_disturbs_nobody_who_types(
    visitor: Visitor, home: Path, api: httpx2.Client
) -> None:
    page = visitor.open("/models")
    dialog = _dialog(page, "Aliases")
    field = dialog.get_by_label("Alias", exact=True)
    field.fill("half a na")
    dialog.get_by_label("Version").select_option("1")
    unmeasured(home / "models", 5)
    expect(page.locator(".versions")).to_contain_text("Version 5")
    expect(field).to_be_focused()
    assert field.input_value() == "half a na"
    assert dialog.get_by_label("Version").input_value() == "1"
    assert api.get(NAME).json()["aliases"]["latest"] == 5


def test_the_report_is_shown_as_it_is_and_can_be_saved(visitor: Visitor) -> None:
    page = visitor.open("/models#clothing@2")
    page.get_by_role("button", name="Open the report").click()
    frame = page.frame_locator("iframe")
    heading = frame.get_by_role("heading", level=1)
    expect(heading).to_contain_text("Right on 93%")
    # Its style counts, too.
    assert frame.locator(".facts").evaluate("(it) => getComputedStyle(it).display") != "block"
    frame.get_by_role("link", name="Confusion").click()
    expect(heading).not_to_be_in_viewport()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save").click()
    assert saved.value.suggested_filename == "clothing-2-report.html"
    assert "<!doctype html>" in saved.value.path().read_text()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("iframe")).to_have_count(0)


def test_nothing_in_a_hostile_report_runs_asks_or_leads_anywhere(
    browser: "Browser", running: Server
) -> None:
    # That the policy holds its style back is complained of; any request to another host fails.
    with visiting(browser, running.url, expected_errors=["Content Security Policy"]) as visitor:
        page = visitor.open("/models#hats@1")
        expect(page.get_by_text("cannot be shown").first).to_be_visible()
        page.get_by_role("button", name="Open the report").click()
        frame = page.frame_locator("iframe")
        heading = frame.get_by_role("heading", name="A report")
        expect(heading).to_have_css("color", "rgb(1, 2, 3)")
        for gone in ("script", "form", "iframe", "base", "link", "meta"):
            expect(frame.locator(gone)).to_have_count(0)
        for name in ("Away", "Script", "There"):
            frame.get_by_text(name, exact=True).click()
        expect(frame.get_by_text("Below")).to_be_visible()
        inner = page.frames[1]
        assert inner.evaluate("origin") == "null"
        assert inner.url == f"{running.url}/viewer#there"
        assert inner.title() == "fine"
        assert page.title() == "Models · Viewfinder"
        assert page.url == f"{running.url}/models#hats@1"


def test_nobody_else_can_frame_the_viewer_and_it_runs_one_script(running: Server) -> None:
    policy = httpx2.get(f"{running.url}/viewer", trust_env=False).headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'; script-src 'sha256-")
    assert "frame-ancestors 'self'" in policy
    assert "allow-same-origin" not in policy


def test_a_key_that_may_not_change_models_is_told_so(browser: "Browser", tmp_path: Path) -> None:
    for version in (1, 2):
        fake_bundle(tmp_path / "models", "fake", version)
    made = run_command("keys", "create", "reader", "--scope", "read", home=tmp_path)
    with (
        serving(tmp_path, "--model", "fake", AUTH__ENABLED=True) as server,
        visiting(browser, server.url, expected_errors=["401", "403"]) as visitor,
    ):
        page = visitor.open("/models")
        page.get_by_role("dialog").get_by_label("Key").fill(made.stdout.strip())
        page.get_by_role("button", name="Use it").click()
        dialog = _dialog(page, "Promote version 1")
        dialog.get_by_role("button", name="Promote").click()
        expect(dialog.get_by_role("alert")).to_contain_text("This key lacks the scope `manage`.")


def test_a_change_that_the_server_missed_is_made_once_it_is_back(
    browser: "Browser", tmp_path: Path
) -> None:
    port = free_port()
    for version in (1, 2):
        fake_bundle(tmp_path / "models", "fake", version)
    arguments = ("--model", "fake", "--port", str(port))
    with (
        serving(tmp_path, *arguments) as server,
        visiting(browser, server.url, expected_errors=["ERR_", "cannot be reached"]) as visitor,
    ):
        page = visitor.open("/models")
        dialog = _dialog(page, "Aliases")
        dialog.get_by_label("Alias", exact=True).fill("night")
        server.process.kill()
        server.process.wait()
        dialog.get_by_role("button", name="Set alias").click()
        expect(dialog.get_by_role("alert")).to_have_text("The server cannot be reached.")
        assert dialog.get_by_label("Alias", exact=True).input_value() == "night"
        expect(page.locator("#unreachable")).to_be_visible()
        with serving(tmp_path, *arguments):
            expect(page.locator("#unreachable")).to_be_hidden()
            dialog.get_by_role("button", name="Set alias").click()
            _says(page, "fake@night means version 2 now.")
