"""Commands in this process: quicker than one of their own, and the engine can be looked at."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_bundle, grey

from viewfinder.cli.main import run


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit status.
        out: What it said on stdout.
        err: What it said on stderr.
    """

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.code in {1, 2}, self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("viewfinder: ")
        return self.err


class Commands:
    """Runs `viewfinder` with the fake model as the default one."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.set(HOME=home, DEFAULT_MODEL="fake", THREADS=2, CACHE__ENABLED=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
        fake_bundle(home / "models")

    def set(self, **settings: object) -> None:
        """Set settings, in the environment."""
        for name, value in settings.items():
            self._monkeypatch.setenv(f"VIEWFINDER_{name}", str(value))

    def classify(self, *arguments: object) -> Ended:
        """Run `viewfinder classify` to its end."""
        return self.run("classify", *arguments)

    def run(self, *arguments: object) -> Ended:
        """Run a command to its end."""
        self._monkeypatch.setattr(sys, "argv", ["viewfinder", *map(str, arguments)])
        code = 0
        try:
            run()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        heard = self._capsys.readouterr()
        return Ended(code, heard.out, heard.err)


def photos_in(folder: Path, brightness: Sequence[int]) -> list[Path]:
    """Write a photo of each brightness, `000.png` and so on."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03}.png" for number in range(len(brightness))]
    for path, one in zip(paths, brightness, strict=True):
        path.write_bytes(grey(one))
    return paths


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of JSON in a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
