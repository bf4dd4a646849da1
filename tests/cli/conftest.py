"""Fixtures of the commands."""

from pathlib import Path

import pytest
from tests.cli.commands import Commands


@pytest.fixture
def commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    """Commands in this process, in a data home of their own."""
    home = tmp_path / "home"
    home.mkdir()
    return Commands(home, monkeypatch, capsys)
