"""The commands of the documentation's pages, run as they stand there, in one shell."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import COMMAND, ROOT

_PORT = 8000
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Something between two fences.

    Attributes:
        section: The heading that it stands under; empty above the first.
        language: What its first fence says.
        text: What it holds.
    """

    section: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """What stands between fences on a page of `docs`, in order."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    assert text.count("```") % 2 == 0
    found = []
    for match in _FENCE.finditer(text):
        above = _HEADING.findall(text, 0, match.start())
        found.append(Block(above[-1] if above else "", match[1], match[2]))
    return found


def follow(
    page: str,
    folder: Path,
    given: Mapping[str, str],
    *,
    port: int = _PORT,
    languages: Collection[str] = ("sh", "python"),
    timeout: float = 900,
) -> dict[str, str]:
    """Do what a page says in its `sh` and `python` blocks, in order, in one shell.

    Args:
        page: Below `docs`.
        folder: To be in.
        given: The environment. `viewfinder` and `python` are those of the tests.
        port: To take in place of the page's.
        languages: Of the blocks to run.
        timeout: Seconds.

    Returns:
        What was said, by section.
    """
    said = folder / "said"
    said.mkdir()
    todo = [block for block in blocks(page) if block.language in languages]
    parts = ["set -eu"]
    for number, block in enumerate(todo):
        text = block.text.replace(f":{_PORT}", f":{port}")
        if block.language == "python":
            text = f"python -W error - <<'END'\n{text}END\n"
        parts.append(f"exec >'{said / str(number)}' 2>&1\n{text}")
    status = _shell("\n".join(parts), folder, given, timeout)
    told: dict[str, str] = {}
    begun = [(block, said / str(n)) for n, block in enumerate(todo) if (said / str(n)).exists()]
    for block, path in begun:
        told[block.section] = told.get(block.section, "") + path.read_text("utf-8") + "\n"
    last = begun[-1]
    assert status == 0, f"{page}, {last[0].section}:\n{last[0].text}\n{last[1].read_text('utf-8')}"
    return told


def _shell(script: str, folder: Path, given: Mapping[str, str], timeout: float) -> int:
    """Run it, and end what it has left running."""
    path = os.pathsep.join((str(Path(COMMAND).parent), os.environ["PATH"]))
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env={**given, "PATH": path, "COLUMNS": "100", "NO_PROXY": "127.0.0.1,localhost"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port that nobody else is given until a server asks for it by its number.

    A socket that is bound and does not listen keeps it: who names it, and has SO_REUSEADDR, may
    listen there.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port: int = keeper.getsockname()[1]
        yield port
