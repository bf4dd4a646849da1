"""Python environments made for a benchmark by uv, and what they take on the disk."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, Failed

PEERS = ROOT / "benchmarks" / "peers"
_PLACE = ROOT / ".peers"
_MB = 1_000_000
_LAST_WORDS = 2000


def uv(*arguments: str, **environment: str) -> None:
    """Run uv.

    Raises:
        Failed: With its last words.
    """
    command = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    try:
        done = subprocess.run(
            [command, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise Failed(f"this benchmark needs uv: {error}") from error
    if done.returncode:
        raise Failed(f"uv {arguments[0]} failed:\n{done.stdout[-_LAST_WORDS:]}")


def megabytes(place: Path) -> float:
    """What is installed in a virtual environment, Python and compiled bytecode left out."""
    files = (
        path
        for path in place.rglob("*")
        if path.suffix != ".pyc" and path.is_file() and not path.is_symlink()
    )
    return sum(path.stat().st_size for path in files) / _MB


def environment(peer: str) -> Path:
    """A peer's own virtual environment, made on first use and when its requirements change.

    Args:
        peer: The name of a file of requirements in `benchmarks/peers`.

    Returns:
        The environment's folder.

    Raises:
        Failed: It cannot be installed.
    """
    requirements = PEERS / f"{peer}.txt"
    wanted = {
        "python": sys.version,
        "sha256": hashlib.sha256(requirements.read_bytes()).hexdigest(),
    }
    place, made = _PLACE / peer, _PLACE / f"{peer}.json"
    if made.exists() and json.loads(made.read_text()) == wanted:
        return place
    print(f"installing {requirements.relative_to(ROOT)}", flush=True)
    made.unlink(missing_ok=True)
    uv("venv", "--clear", "--python", sys.executable, str(place))
    uv(
        *("pip", "sync", "--require-hashes", "--compile-bytecode"),
        *("--python", str(place / "bin" / "python"), str(requirements)),
    )
    made.write_text(json.dumps(wanted))
    return place


def pinned(peer: str, package: str) -> str:
    """The version of a package in a peer's environment."""
    text = (PEERS / f"{peer}.txt").read_text()
    found = re.search(rf"^{re.escape(package)}(?:\[.*\])?==(\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{package} is not pinned for {peer}")
    return found[1]
