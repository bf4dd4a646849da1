"""Debian's Chromium, for the tests that look at pages."""

import importlib.util
import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from tests.support import Server, needs
from tests.web.browser import Visitor, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser


# Of a module and no longer: its event loop is in the way of tests that have one of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser that runs."""
    chromium = shutil.which("chromium")
    needs("Chromium (apt-get install chromium)", met=chromium is not None)
    needs(
        "the group browser (uv sync --inexact --group browser)",
        met=importlib.util.find_spec("playwright") is not None,
    )
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            # As root there is no sandbox; a camera that shows a moving pattern.
            args=["--no-sandbox", "--use-fake-device-for-media-stream"],
        )
        yield running
        running.close()


@pytest.fixture
def visitor(browser: "Browser", server: Server) -> Iterator[Visitor]:
    """Someone who looks at the pages of the test's own server."""
    with visiting(browser, server.url) as someone:
        yield someone
