"""Loads a model in a process of its own first: a crafted graph may crash that, and nothing else.

    python -m viewfinder.engines.probe models/shoes/3 --threads 2 --device cpu

A runtime reads a graph with native code, and damaged graphs have been seen to abort it. Checksums
say only that a graph is the one that was sealed, not that it is harmless.
"""

import argparse
import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from viewfinder.engines.base import Device
from viewfinder.engines.loader import RUNTIMES, load_variant
from viewfinder.errors import BundleError, OperatorError
from viewfinder.registry.bundle import Bundle

_PROBLEM = 3
_PATIENCE_S = 120
_NICENESS = 10
_ADDRESS_SPACE = 16 * 1024**3


def probe(bundle: Bundle, *, threads: int, device: Device, passed: Path) -> None:
    """Let another process load the model, unless this very one has passed before.

    Args:
        bundle: The model version.
        threads: As it will be loaded.
        device: As it will be loaded.
        passed: A folder that remembers what has passed. It may be read-only: then more is tried
            than need be.

    Raises:
        BundleError: The model cannot be used; the process may have crashed over it.
    """
    mark = passed / _identity(bundle, device)
    if mark.exists():
        return
    command = [sys.executable, "-P", "-m", "viewfinder.engines.probe", str(bundle.folder.resolve())]
    try:
        done = subprocess.run(
            [*command, "--threads", str(threads), "--device", device],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"the graph was still loading after {_PATIENCE_S} seconds") from error
    if done.returncode == _PROBLEM:
        raise BundleError(json.loads(done.stdout.splitlines()[-1])["problem"])
    if done.returncode:
        raise BundleError(f"the process that tried the graph {_death(done.returncode)}")
    with contextlib.suppress(OSError):
        passed.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _identity(bundle: Bundle, device: Device) -> str:
    """Of a model, and of the runtime that would load it: another release may fail over it."""
    runtime = " ".join(_releases(RUNTIMES[bundle.manifest.variant().engine].distributions))
    return hashlib.sha256(f"{bundle.digest} {device} {runtime}".encode()).hexdigest()


def _releases(distributions: Iterable[str]) -> Iterator[str]:
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name}=={metadata.version(name)}"


def _death(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def main() -> None:
    """The process itself: exit 0, or 3 and the problem as JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    os.nice(_NICENESS)  # others are being served meanwhile
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments.device == "cpu":  # a driver of another device maps all its memory
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    try:
        bundle = Bundle.read(arguments.folder)
        load_variant(bundle, threads=arguments.threads, device=arguments.device)
    except OperatorError as error:
        sys.stdout.write("\n" + json.dumps({"problem": error.detail}))
        sys.exit(_PROBLEM)


if __name__ == "__main__":
    main()
