"""Why a path that somebody typed leads nowhere, or to a folder of no use."""

import os
import shutil
from difflib import get_close_matches
from pathlib import Path

_ROOM = 1 << 20
_PATTERN = frozenset("*?[")


def absence(typed: str | Path) -> str:
    """One sentence for a person: that it is not there, and what may be meant.

    Args:
        typed: As it was typed.
    """
    text, path = str(typed), Path(typed)
    if text.startswith("~"):
        return f"{text} does not exist: the shell expands ~ only where it stands without quotes"
    if _PATTERN & set(text):
        return f"no file matches {text}{_looked_in(path)}"
    return f"{text} does not exist{_looked_in(path)}{_meant(path)}"


def trouble_with(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, which need not exist yet; None if all is well."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return f"{there} is not a folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} may not be written by this user"
    return "no space is left there" if shutil.disk_usage(there).free < _ROOM else None


def _looked_in(path: Path) -> str:
    return "" if path.is_absolute() else f" in {Path.cwd()}"


def _meant(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:  # that is not there either, or may not be read
        return ""
    near = get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""
