"""The documentation as a site: complete, and sufficient to itself."""

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest
from scripts.build_site import build, keep_inside
from tests.docs.pages import DOCS, contents, rendered
from tests.support import ROOT, needs

# Decisions are found from their list.
_LISTED_ELSEWHERE = re.compile(r"decisions/\d{4}-[a-z0-9-]+\.md")
_ASSETS = {"src", "srcset", "poster", "data"}
_LINKED_ASSETS = {"stylesheet", "icon", "preload", "preconnect", "modulepreload", "manifest"}
_ELSEWHERE_IN_CSS = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])\s*(?:https?:)?//[^)'\"]*")


def _needs_zensical() -> None:
    there = importlib.util.find_spec("zensical") is not None
    needs("zensical (uv sync --inexact --only-group docs)", met=there)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, as `make docs` builds it."""
    _needs_zensical()
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "-m", "scripts.build_site", str(out)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return out


class _Page(HTMLParser):
    """What a page asks for, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.assets += [given[name] for name in _ASSETS & given.keys()]
        if tag == "link" and _LINKED_ASSETS & set(given.get("rel", "").split()):
            self.assets.append(given.get("href", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))


def _built(site: Path) -> Iterator[tuple[Path, _Page]]:
    for file in sorted(site.rglob("*.html")):
        yield file, _Page(file.read_text())


def _built_from(site: Path, page: str) -> Path:
    return site / f"{page.replace('README', 'index').removesuffix('.md')}.html"


def _parts(html: str) -> Counter[str]:
    """Lists, tables, blocks of code and pictures: those are read differently where they are."""
    return Counter(re.findall(r"<(li|table|td|pre|img|h2|h3|strong|em)[ >]", html))


def test_all_that_is_in_the_contents_is_there() -> None:
    assert [page for page in contents() if not (DOCS / page).is_file()] == []


def test_every_page_is_in_the_contents_once() -> None:
    there_are = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    expected = {page for page in there_are if not _LISTED_ELSEWHERE.fullmatch(page)}
    assert expected - set(contents()) == set()
    assert len(contents()) == len(set(contents()))


def test_every_page_is_built(site: Path) -> None:
    for page in contents():
        assert _built_from(site, page).is_file()


def test_the_site_shows_what_code_hosts_show(site: Path) -> None:
    for page in contents():
        built = _built_from(site, page).read_text()
        article = built.partition("<article")[2].partition("</article>")[0]
        assert _parts(article) == _parts(rendered(DOCS / page)), page


def test_nothing_is_asked_of_another_host(site: Path) -> None:
    asked = [
        f"{file.relative_to(site)}: {asset}"
        for file, page in _built(site)
        for asset in page.assets
        if urlsplit(asset).netloc
    ]
    assert asked == []
    for sheet in site.rglob("*.css"):
        assert _ELSEWHERE_IN_CSS.findall(sheet.read_text()) == []


def test_every_link_and_asset_of_the_site_is_in_it(site: Path) -> None:
    missing = []
    for file, page in _built(site):
        if file.name == "404.html":
            continue  # served in place of any page, it has addresses from the root
        for target in [*page.links, *page.assets]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            found = (file.parent / unquote(parts.path)).resolve()
            if not found.is_relative_to(site) or not found.exists():
                missing.append(f"{file.relative_to(site)}: {target}")
    assert missing == []


@pytest.mark.parametrize("broken", ["[a](nowhere.md)", "[a](#nowhere)"])
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, broken: str) -> None:
    _needs_zensical()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{broken}\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "x"\n')
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path / "site", tmp_path)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("place", "text", "kept"),
    [
        ("docs", "[a chart](../deploy/helm)", "a chart (`deploy/helm`)"),
        ("docs", "[`deploy/helm`](../deploy/helm)", "`deploy/helm`"),
        ("docs", "[a\nchart](../deploy/helm#x)", "a\nchart (`deploy/helm`)"),
        ("docs/how-to", "[a](../../README.md)", "a (`README.md`)"),
        ("docs/how-to", "[a](../api.md#jobs)", "[a](../api.md#jobs)"),
        ("docs", "`[a](../deploy)`", "`[a](../deploy)`"),
        ("docs", "```\n[a](../deploy)\n```", "```\n[a](../deploy)\n```"),
    ],
)
def test_a_link_out_of_the_documentation_becomes_a_path(place: str, text: str, kept: str) -> None:
    assert keep_inside(text, PurePosixPath(place)) == kept
