"""The reference pages are what the code says, on every machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.reference import PAGES
from scripts.reference.settings import BEGIN, END, page
from tests.support import ROOT

from viewfinder.settings import Settings, environment_name
from viewfinder.shared.trees import flatten


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as another machine makes them: other home, terminal, settings and cores."""
    folder = tmp_path_factory.mktemp("made")
    home = tmp_path_factory.mktemp("home")
    (home / "viewfinder").mkdir()
    (home / "viewfinder" / "viewfinder.toml").write_text("port = 1\n[limits]\nside = 5\n")
    odd = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "VIEWFINDER_WORKERS": "3",
        "VIEWFINDER_LIMITS__BATCH_IMAGES": "7",
        "COLUMNS": "40",
        "PYTHONHASHSEED": "1",
        "TZ": "Asia/Tokyo",
    }
    subprocess.run(
        [sys.executable, "-m", "scripts.reference", folder],
        cwd=ROOT,
        env=os.environ | odd,
        check=True,
    )
    return folder


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_what_the_code_says(made: Path, path: str) -> None:
    assert (ROOT / path).read_text() == (made / path).read_text(), "run `make reference`"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_how_it_is_made(path: str) -> None:
    assert "Made by `make reference`" in (ROOT / path).read_text()


def test_what_is_around_the_settings_stays() -> None:
    before = f"# Mine\n\n{BEGIN}\nOutdated.\n{END}\n\nMine, too.\n"
    after = page(before)
    assert after.startswith(f"# Mine\n\n{BEGIN}\n")
    assert after.endswith(f"{END}\n\nMine, too.\n")
    assert "Outdated" not in after
    with pytest.raises(ValueError, match="substring"):
        page("# Mine, without a mark\n")


def test_every_setting_is_there_with_its_name_in_the_environment() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for name in flatten(Settings().model_dump()):
        assert f"| `{name}`<br>`{environment_name(name)}` |" in text
