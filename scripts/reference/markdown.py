"""Markdown that code hosts and the site read alike."""

import re
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Made by `make reference` from {source}: change that, not this file. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown of one line."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def code(text: str) -> str:
    """Text as it is typed; a bar would end a cell of a table."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def block(text: str, language: str = "sh") -> str:
    """Lines as they are typed."""
    return f"```{language}\n{text}\n```"


def flow(text: str) -> str:
    """Lines of a docstring as one; angle brackets stay what they are, outside of code too."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def anchor(heading: str) -> str:
    """What a heading is called in an address, by code hosts and by the site."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.strip().replace(" ", "-")


def lines(*parts: str) -> str:
    """Parts with an empty line between; those that say nothing are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"
