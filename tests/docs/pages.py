"""Markdown files as a reader finds them: links, pictures, and what a link can point to."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.support import ROOT

DOCS = ROOT / "docs"
_IN_HTML = re.compile(r'\b(?:href|src)="([^"]*)"')
_ID_IN_HTML = re.compile(r'\bid="([^"]*)"')

# As code hosts do.
_READER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Link:
    """What a page leads to.

    Attributes:
        page: The file that has it.
        line: Where the paragraph begins, from 1.
        target: As it is written.
    """

    page: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.target}"


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    below = ("docs", "deploy", "examples", "src", "benchmarks", "tests", "scripts")
    found = [page for folder in below for page in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *found])


def links(page: Path) -> Iterator[Link]:
    """All links and pictures of a page; what is in code is none."""
    for token, line in _tokens(page):
        if token.type in {"link_open", "image"}:
            target = token.attrGet("href") or token.attrGet("src")
            yield Link(page, line, str(target or ""))
        elif token.type in {"html_inline", "html_block"}:
            for target in _IN_HTML.findall(token.content):
                yield Link(page, line, target)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What can stand after a `#`: headings as code hosts name them, and ids."""
    found, before = [], Counter[str]()
    heading = False
    for token, _ in _tokens(page):
        if token.type == "heading_open":
            heading = True
        elif token.type == "inline" and heading:
            heading = False
            words = "".join(part.content for part in token.children or ())
            name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.append(f"{name}-{before[name]}" if before[name] else name)
            before[name] += 1
        elif token.type in {"html_inline", "html_block"}:
            found += _ID_IN_HTML.findall(token.content)
    return frozenset(found)


def rendered(page: Path) -> str:
    """A page as HTML."""
    html: str = _READER.render(page.read_text())
    return html


def contents() -> list[str]:
    """The pages of the site's table of contents, as paths in `docs`."""
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    return list(_leaves(project["nav"]))


def _leaves(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from _leaves(value)


@cache
def _tokens(page: Path) -> list[tuple[Token, int]]:
    """The tokens of a page, each followed by what is in it, with their lines."""
    found, line = [], 1
    for token in _READER.parse(page.read_text()):
        line = token.map[0] + 1 if token.map else line
        found.append((token, line))
        found += [(child, line) for child in token.children or ()]
    return found
