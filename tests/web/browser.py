"""A real browser on the pages of a real server."""

import io
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tests.support import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page, Route

# Set by `make pictures`: the documentation's pictures are taken anew.
PICTURES = "TESTS_PICTURES"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_SERIOUS = {"serious", "critical"}
_PATIENCE_MS = 15_000


@dataclass
class Seen:
    """What a page did.

    Attributes:
        urls: All that it asked for.
        errors: What its scripts failed with, and what the browser complained of.
    """

    urls: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def expect(locator: "Locator") -> "LocatorAssertions":
    """What is to become true of a part of a page, before patience ends."""
    playwright = import_module("playwright.sync_api")
    playwright.expect.set_options(timeout=_PATIENCE_MS)
    assertions: LocatorAssertions = playwright.expect(locator)
    return assertions


class Visitor:
    """Someone with a browser of their own: nothing is left from anybody before.

    Args:
        page: Of the browser.
        home: The address of the server.
        seen: What the page has done so far.
    """

    def __init__(self, page: "Page", home: str, seen: Seen) -> None:
        self.page = page
        self.home = home
        self.seen = seen

    def open(self, path: str) -> "Page":
        """Go to a page of the server."""
        self.page.goto(self.home + path)
        return self.page

    def until(self, happened: Callable[[], object]) -> None:
        """Let the page go on, and those who stand in its way, until something has happened."""
        end = time.monotonic() + _PATIENCE_MS / 1000
        while not happened():
            assert time.monotonic() < end, "nothing happened"
            self.page.wait_for_timeout(20)

    def picture(self, name: str) -> bytes:
        """A picture of what is to be seen; kept for the documentation where that is wanted."""
        shot: bytes = self.page.screenshot(animations="disabled")
        if os.environ.get(PICTURES):
            folder = ROOT / "docs" / "images"
            folder.mkdir(exist_ok=True)
            small = Image.open(io.BytesIO(shot)).convert("RGB").quantize(256)
            small.save(folder / f"{name}.png", optimize=True)
        return shot

    def check_usable(self) -> None:
        """Nothing that axe-core knows keeps anybody from using the page."""
        axe = import_module("axe_playwright_python.sync_playwright").Axe()
        found = axe.run(self.page).response["violations"]
        grave = [
            f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in _SERIOUS
        ]
        assert not grave, "\n".join(grave)

    def check_fits(self) -> None:
        """Nobody has to scroll sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels wider than the screen"


@contextmanager
def visiting(
    browser: "Browser",
    home: str,
    *,
    expected_errors: Sequence[str] = (),
    **options: Any,
) -> Iterator[Visitor]:
    """Someone who looks at a server's pages, and who asks nobody else for anything.

    Args:
        browser: Runs.
        home: The address of the server.
        expected_errors: Patterns of what the browser may complain of, such as an answer of 415
            that the test is about.
        options: Of the browser's context: `viewport`, `color_scheme`, `permissions`.
    """
    context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})
    context.set_default_timeout(_PATIENCE_MS)
    seen = Seen()

    def check(route: "Route") -> None:
        seen.urls.append(route.request.url)
        route.continue_()

    try:
        page = context.new_page()
        page.route("**/*", check)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on(
            "console",
            lambda message: seen.errors.append(message.text) if message.type == "error" else None,
        )
        yield Visitor(page, home, seen)
    finally:
        context.close()
    strange = [url for url in seen.urls if not url.startswith((home, "blob:", "data:"))]
    assert not strange, strange
    grave = [
        error
        for error in seen.errors
        if not any(re.search(pattern, error) for pattern in expected_errors)
    ]
    assert not grave, grave


def drop(page: "Page", selector: str, *files: Path) -> None:
    """Drop files on a part of a page, as from a folder."""
    contents = [(file.name, list(file.read_bytes())) for file in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) {
                transfer.items.add(new File([new Uint8Array(bytes)], name));
            }
            return transfer;
        }""",
        contents,
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})
