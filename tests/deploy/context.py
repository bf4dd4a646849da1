"""What of a folder is sent to a builder, as its `.dockerignore` says."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path


def sent_to_the_builder(root: Path) -> Iterator[Path]:
    """The files that `.dockerignore` leaves, from the folder that a build is given."""
    lines = (root / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    # Folders that cannot hold anything that is left need not be walked: .venv is large.
    wanted = {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}
    for top in root.iterdir():
        if top.name in wanted:
            found = [top] if top.is_file() else top.rglob("*")
            yield from (
                path for path in found if path.is_file() and not _ignored(path, root, rules)
            )


def _ignored(path: Path, root: Path, rules: list[str]) -> bool:
    """The last rule that fits the path, or a folder above it, decides."""
    relative = path.relative_to(root)
    names = [str(relative), *(str(parent) for parent in relative.parents if parent.name)]
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if any(_fits(name, pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(name, pattern) or fnmatch(name, pattern[3:])
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)
