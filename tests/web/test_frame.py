"""What all pages share: their frame, the key, a server that is away, dark and light."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.support import Server, fake_bundle, free_port, run_command, serving
from tests.web.browser import NARROW, Visitor, expect, visiting

from viewfinder.web.pages import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PATHS = [page.path for page in PAGES]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_usable_in_both_themes_and_on_a_phone(
    browser: "Browser", server: Server, path: str
) -> None:
    for scheme in ("light", "dark"):
        with visiting(browser, server.url, color_scheme=scheme, viewport=NARROW) as visitor:
            page = visitor.open(path)
            assert page.locator("html").get_attribute("data-theme") == scheme
            expect(page.locator("h1")).to_be_visible()
            page.wait_for_load_state("networkidle")
            visitor.check_usable()
            visitor.check_fits()


def test_the_pages_lead_to_each_other(visitor: Visitor) -> None:
    page = visitor.open("/")
    for one in PAGES:
        page.get_by_role("navigation").get_by_role("link", name=one.title).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(one.title)
        current = page.locator("nav [aria-current=page]")
        expect(current).to_have_text(one.title)


def test_the_first_key_press_offers_to_skip_to_the_content(visitor: Visitor) -> None:
    page = visitor.open("/models")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_chosen_theme_is_kept_for_the_next_page(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.get_by_role("button", name="Change between dark and light").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    visitor.open("/models")
    assert page.locator("html").get_attribute("data-theme") == "dark"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that wants keys, and one for it."""
    home = tmp_path_factory.mktemp("guarded")
    fake_bundle(home / "models", "fake", 1)
    made = run_command("keys", "create", "somebody", "--scope", "read", home=home)
    assert made.returncode == 0, made.stderr
    with serving(home, AUTH__ENABLED=True) as server:
        yield server, made.stdout.strip()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_itself_is_for_everybody(guarded: tuple[Server, str], path: str) -> None:
    server, _ = guarded
    assert httpx2.get(server.url + path, trust_env=False).status_code == 200


def test_a_key_is_asked_for_where_one_is_wanted_and_kept_in_the_tab_alone(
    browser: "Browser", guarded: tuple[Server, str]
) -> None:
    server, key = guarded
    with visiting(browser, server.url, expected_errors=["401"]) as visitor:
        page = visitor.open("/models")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        visitor.check_usable()
        dialog.get_by_label("Key").fill("vf_wrong")
        dialog.get_by_role("button", name="Use it").click()
        expect(dialog.get_by_role("alert")).to_contain_text("key")
        dialog.get_by_label("Key").fill(key)
        dialog.get_by_role("button", name="Use it").click()
        expect(page.get_by_text("fake").first).to_be_visible()
        kept = page.evaluate("JSON.stringify([{...localStorage}, document.cookie])")
        assert key not in kept

        another = page.context.new_page()
        another.goto(server.url + "/models")
        expect(another.get_by_role("dialog")).to_be_visible()

        page.get_by_role("button", name="Forget key").click()
        expect(page.get_by_role("dialog")).to_be_visible()


def test_whoever_has_no_key_is_asked_once(browser: "Browser", guarded: tuple[Server, str]) -> None:
    server, _ = guarded
    with visiting(browser, server.url, expected_errors=["401"]) as visitor:
        page = visitor.open("/models")
        page.get_by_role("button", name="Not now").click()
        expect(page.locator("main").get_by_role("alert").first).to_contain_text("key")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("button", name="Enter key")).to_be_visible()


def test_a_server_that_goes_away_is_told_of_and_found_again(
    browser: "Browser", tmp_path: Path
) -> None:
    port = free_port()
    fake_bundle(tmp_path / "models", "fake", 1)
    with (
        serving(tmp_path, "--port", str(port)) as server,
        visiting(browser, server.url, expected_errors=["ERR_", "cannot be reached"]) as visitor,
    ):
        page = visitor.open("/models")
        expect(page.get_by_text("fake").first).to_be_visible()
        server.process.kill()
        server.process.wait()
        away = page.get_by_text("The server cannot be reached")
        expect(away).to_be_visible()
        fake_bundle(tmp_path / "models", "newcomer", 1)
        with serving(tmp_path, "--port", str(port)):
            expect(away).to_be_hidden()
            expect(page.get_by_text("newcomer").first).to_be_visible()


def test_all_pages_together_are_small(visitor: Visitor) -> None:
    sizes: dict[str, int] = {}
    for path in PATHS:
        page = visitor.open(path)
        page.wait_for_load_state("networkidle")
        sizes |= page.evaluate(
            """Object.fromEntries(
                ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
                    .map((entry) => [entry.name, entry.decodedBodySize]))"""
        )
    api = re.compile(r"/(v1|health|metrics)\b")
    files = {url: size for url, size in sizes.items() if not api.search(url)}
    assert len(files) > 3 * len(PATHS)
    assert 60_000 < sum(files.values()) < 300_000, files
