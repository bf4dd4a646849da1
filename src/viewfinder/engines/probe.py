"""Loads a model in a process of its own first: a crafted graph may crash that, and nothing else.

A runtime reads a graph with native code, and damaged graphs have been seen to abort it. Checksums
say only that a graph is the one that was sealed, not that it is harmless.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from viewfinder.engines.apart import answer_apart, run_apart
from viewfinder.engines.base import Device
from viewfinder.engines.loader import RUNTIMES, load_variant
from viewfinder.registry.bundle import Bundle


def probe(bundle: Bundle, *, threads: int, device: Device, passed: Path | None) -> None:
    """Let another process load the model, unless this very one has passed before.

    Args:
        bundle: The model version.
        threads: As it will be loaded.
        device: As it will be loaded.
        passed: A folder that remembers what has passed. It may be read-only: then more is tried
            than need be. None tries in any case.

    Raises:
        BundleError: The model cannot be used; the process may have crashed over it.
    """
    mark = passed / _identity(bundle, device) if passed is not None else None
    if mark is not None and mark.exists():
        return
    question = {"folder": str(bundle.folder.resolve()), "threads": threads, "device": device}
    run_apart("viewfinder.engines.probe", question)
    if mark is not None:
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def _identity(bundle: Bundle, device: Device) -> str:
    """Of a model, and of the runtime that would load it: another release may fail over it."""
    runtime = " ".join(_releases(RUNTIMES[bundle.manifest.variant().engine].distributions))
    return hashlib.sha256(f"{bundle.digest} {device} {runtime}".encode()).hexdigest()


def _releases(distributions: Iterable[str]) -> Iterator[str]:
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name}=={metadata.version(name)}"


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    bundle = Bundle.open(Path(question["folder"]))
    load_variant(bundle, threads=question["threads"], device=question["device"])
    return {}


if __name__ == "__main__":
    answer_apart(_answer)
