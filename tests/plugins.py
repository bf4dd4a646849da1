"""Packages beside Viewfinder, found as installed ones are: by their metadata on Python's path."""

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from tests.support import ROOT
from viewfinder.registry.bundle import MANIFEST, Bundle

EXAMPLES = ROOT / "examples"


def install(site: Path, name: str, source: str, group: str, points: Mapping[str, str]) -> None:
    """What pip leaves behind: a module, and the metadata of its package.

    Args:
        site: A folder on Python's path.
        name: Of the module.
        source: What it says.
        group: Of the entry points.
        points: By their names, what they lead to.
    """
    (site / f"{name}.py").write_text(dedent(source))
    _describe(site, name, "1.0", {group: points})


def install_example(site: Path, name: str) -> None:
    """One of `examples/`, as its `pyproject.toml` says: what the wheel holds, and its metadata."""
    folder = EXAMPLES / name
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text())
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    for file in wheel.get("include", ()):
        shutil.copy(folder / file, site)
    for package in wheel.get("packages", ()):
        shutil.copytree(folder / package, site / package)
    project = pyproject["project"]
    _describe(site, project["name"], project["version"], project["entry-points"])


def with_engine(bundle: Bundle, engine: str, **changes: object) -> Bundle:
    """The same bundle, whose graph another engine is to run."""
    path = bundle.folder / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["variants"][0] |= {"engine": engine, "format": "own", **changes}
    path.write_text(json.dumps(manifest))
    return Bundle.read(bundle.folder)


def _describe(
    site: Path, package: str, release: str, groups: Mapping[str, Mapping[str, str]]
) -> None:
    metadata = site / f"{package.replace('-', '_')}-{release}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {release}\n"
    )
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
