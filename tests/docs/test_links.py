"""Every link of every Markdown file leads somewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import Link, anchors, links, pages
from tests.support import ROOT

_LINE = re.compile(r"L\d+(-L\d+)?")
_LOCAL = {"localhost", "127.0.0.1"}


def _trouble(link: Link) -> str | None:
    """What is wrong with a link; nobody outside is asked."""
    parts = urlsplit(link.target)
    if parts.scheme in {"http", "https"}:
        named = parts.hostname and ("." in parts.hostname or parts.hostname in _LOCAL)
        return None if named and " " not in link.target else "is no address"
    if parts.scheme or link.target.startswith("/"):
        return "is neither an address nor a path from here"
    path = unquote(parts.path)
    file = (link.page.parent / path).resolve() if path else link.page
    if not file.is_relative_to(ROOT) or not file.exists():
        return "is not there"
    return _missing(file, unquote(parts.fragment))


def _missing(file: Path, fragment: str) -> str | None:
    if not fragment or (file.suffix == ".md" and fragment in anchors(file)):
        return None
    if file.suffix != ".md" and _LINE.fullmatch(fragment):
        return None
    return "has no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    found = [(link, _trouble(link)) for link in links(page)]
    assert [f"{link} {trouble}" for link, trouble in found if trouble] == []


def test_the_pages_are_found() -> None:
    found = {str(page.relative_to(ROOT)) for page in pages()}
    assert {"README.md", "docs/index.md", "deploy/gateway/README.md"} <= found
    assert sum(1 for page in pages() for _ in links(page)) > 300


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("[a](other.md)", "other.md is not there"),
        ("![a](none.png)", "none.png is not there"),
        ('<img src="none.png">', "none.png is not there"),
        ("| a |\n|---|\n| [a](other.md) |", "other.md is not there"),
        ("# A `b_c` (d)\n\n[a](#a-b_c-d)", None),
        ("# Twice\n\n# Twice\n\n[a](#twice-1)", None),
        ("[a](#nowhere)", "#nowhere has no such heading"),
        ("[a](/docs/api.md)", "/docs/api.md is neither an address nor a path from here"),
        ("[a](https://example.org/x)", None),
        ("[a](https://nowhere/x)", "https://nowhere/x is no address"),
        ("`[a](other.md)`\n\n```\n[a](other.md)\n```", None),
    ],
)
def test_a_link_that_leads_nowhere_is_named(
    repository: Callable[[str], Path], text: str, trouble: str | None
) -> None:
    said = [f"{link.target} {_trouble(link)}" for link in links(repository(text)) if _trouble(link)]
    assert said == ([trouble] if trouble else [])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make a repository of one page."""

    def write(text: str) -> Path:
        monkeypatch.setattr("tests.docs.test_links.ROOT", tmp_path)
        page = tmp_path / "page.md"
        page.write_text(text)
        return page

    return write
