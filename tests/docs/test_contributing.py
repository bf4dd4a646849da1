"""What CONTRIBUTING says is to be done where something is added, and no other test would miss."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.docs.pages import DOCS
from tests.support import ROOT

from viewfinder.app import create_app
from viewfinder.engines.loader import RUNTIMES
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.registry.manifest import ENGINES
from viewfinder.settings import Settings

_CODE = re.compile(r"`([^`]+)`")


def _families(names: Iterable[str]) -> set[str]:
    """`resnet50-v2` and `resnet101-v2` are of one family, `resnet50` is of another."""
    plain = (re.sub(r"-([bsml]\d?|small|large)$", "", name) for name in names)
    return {re.sub(r"\d+", "", name) for name in plain}


def test_a_backbone_of_every_family_is_tested_and_every_family_is_told() -> None:
    # Its own import needs TensorFlow.
    tested = re.findall(r'"([\w-]+)"', (ROOT / "tests" / "modeling" / "graphs.py").read_text())
    assert _families(name for name in tested if name in BACKBONES) == _families(BACKBONES)
    rows = [line for line in (DOCS / "backbones.md").read_text().splitlines() if line[:1] == "|"]
    told = {name for row in rows for name in _CODE.findall(row) if name in BACKBONES}
    assert _families(told) == _families(BACKBONES)


def test_every_engine_has_a_format_and_is_told() -> None:
    assert RUNTIMES.keys() == ENGINES.keys()
    page = (DOCS / "engines.md").read_text()
    assert [name for name, form in ENGINES.items() if f"| `{name}` | `{form}` |" not in page] == []


def test_every_path_is_told(tmp_path: Path) -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))  # the reference is generated
    told = re.sub(r"\{\w+\}", "{}", pages)
    paths = create_app(Settings(home=tmp_path)).openapi()["paths"]
    assert [path for path in paths if re.sub(r"\{\w+\}", "{}", path) not in told] == []


def test_every_example_is_listed_and_tested() -> None:
    listed = (ROOT / "examples" / "README.md").read_text()
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for folder in (ROOT / "examples").iterdir():
        if folder.is_dir() and folder.name not in {"__pycache__", "photos"}:
            assert f"({folder.name}/README.md)" in listed, folder.name
            assert f'"{folder.name}"' in tests, folder.name


@pytest.mark.parametrize(
    ("name", "family"), [("resnet50-v2", "resnet-v"), ("efficientnet-b0", "efficientnet")]
)
def test_a_family_is_told_by_the_name(name: str, family: str) -> None:
    assert _families([name]) == {family}
