"""How soon the pages are seen, and how large they are.

    python -m benchmarks.pages [--rounds 9] [--quick]

A browser (Debian's Chromium; `uv sync --inexact --group browser`) opens each page of a server on
this machine, each time with nothing kept from before. First contentful paint is what the browser
tells of itself, counted from the moment it was sent to the page; the size is that of all answers
together, without the API's and without compression, each file once for all pages.
"""

import shutil
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

from benchmarks.harness import Figure, median, parse, parser, percentile, save
from benchmarks.processes import Server, viewfinder
from viewfinder.web.pages import PAGES, Page

_MOST_MS, _MOST_KB = 300.0, 300.0
_PAINT = """new Promise((tell) =>
    new PerformanceObserver((list) => {
        for (const entry of list.getEntriesByName("first-contentful-paint")) tell(entry.startTime);
    }).observe({ type: "paint", buffered: true }))"""

_FILES = """["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .map((entry) => [entry.name, entry.decodedBodySize])"""


@dataclass
class Looks:
    """What the browser saw.

    Attributes:
        paints: Milliseconds to the first paint, for each page.
        sizes: Bytes of each file that pages have.
        hosts: Who was asked for anything.
    """

    paints: dict[str, list[float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, rounds=(9, 3)))
    chromium = shutil.which("chromium") or sys.exit("needs Chromium (apt-get install chromium)")
    looks = Looks()
    with viewfinder() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for number in range(arguments.rounds + 1):
            for page in PAGES:
                look(browser, server, page, looks, counts=number > 0)
        browser.close()
    save("pages", figures(looks), paints_ms=looks.paints, sizes=looks.sizes)


def look(browser: Browser, server: Server, page: Page, looks: Looks, *, counts: bool) -> None:
    """Open a page, with nothing kept from before.

    Args:
        browser: Runs.
        server: Runs.
        page: Which.
        looks: Gets what is seen.
        counts: Whether the paint counts: the first time a browser still warms up.
    """
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(server.url + page.path)
    paint = tab.evaluate(_PAINT)
    tab.wait_for_load_state("networkidle")
    for url, size in tab.evaluate(_FILES):
        parts = urlsplit(url)
        looks.hosts.add(parts.netloc)
        if not parts.path.startswith(("/v1/", "/health", "/metrics")):
            looks.sizes[parts.path] = size
    if counts:
        looks.paints.setdefault(page.name, []).append(paint)
    context.close()


def figures(looks: Looks) -> list[Figure]:
    """What is told, and what is to be reached."""
    told = [
        Figure(f"first paint of {name}, ms", median(paints), at_most=_MOST_MS)
        for name, paints in looks.paints.items()
    ]
    every = [paint for paints in looks.paints.values() for paint in paints]
    return [
        *told,
        Figure("first paint, 95th percentile of all, ms", percentile(every, 95)),
        Figure("all pages together, kB", sum(looks.sizes.values()) / 1000, at_most=_MOST_KB),
        Figure("hosts that were asked", len(looks.hosts), at_most=1),
    ]


if __name__ == "__main__":
    main()
