"""Viewfinder without any extra: an environment of its own that has the base dependencies alone."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from tests.support import ROOT, environment

_PACKAGE = "viewfinder"


class Bare:
    """Runs the command where no extra is installed.

    Args:
        folder: Where the environment is made, of links to what is installed here.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self._python = folder / "bin" / "python"
        (site,) = folder.glob("lib/python3*/site-packages")
        for distribution in _base(_PACKAGE, frozenset()):
            installed = Path(str(distribution.locate_file("")))
            for path in sorted(_parts(distribution, installed)):
                link = site / path
                if not link.exists():
                    link.parent.mkdir(exist_ok=True)
                    link.symlink_to(installed / path)
        if not (site / _PACKAGE).exists():  # installed for editing
            (site / _PACKAGE).symlink_to(ROOT / "src" / _PACKAGE)

    def run(
        self, *arguments: str | Path, home: Path, **settings: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `viewfinder` to its end."""
        given = environment(home, **settings)
        given.pop("PYTHONPATH", None)
        return subprocess.run(
            [str(self._python), "-m", _PACKAGE, *map(str, arguments)],
            env=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _base(name: str, extras: frozenset[str]) -> Iterator[metadata.Distribution]:
    """What an install without extras brings; the same one may come several times."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(name, extras)]
    while waiting:
        wanted = waiting.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        distribution = metadata.distribution(wanted[0])
        yield distribution
        for text in distribution.requires or ():
            one = Requirement(text)
            cases = [{"extra": extra} for extra in wanted[1] or {""}]
            if one.marker is None or any(one.marker.evaluate(case) for case in cases):
                waiting.append((one.name, frozenset(one.extras)))


def _parts(distribution: metadata.Distribution, site: Path) -> set[Path]:
    """Its files and folders; of a folder that it shares with others, only what is its own."""
    found = set()
    for path in distribution.files or ():
        top = Path(path.parts[0])
        if top.name in {"..", "__pycache__"} or top.suffix == ".pth":
            continue
        shared = len(path.parts) > 1 and not (site / top / "__init__.py").exists()
        is_code = top.suffix not in {".dist-info", ".libs"}
        found.add(Path(*path.parts[:2]) if shared and is_code else top)
    return {path for path in found if (site / path).exists()}


def without_ensurepip(folder: Path) -> dict[str, str]:
    """An environment in which this Python has all of its library but what Debian packs apart."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    real = Path(os.__file__).parent
    library = folder / "lib" / version
    library.mkdir(parents=True)
    for path in real.iterdir():
        if path.name not in {"ensurepip", "site-packages"}:
            (library / path.name).symlink_to(path)
    return {"PYTHONHOME": str(folder)}
