"""Loads a model in a process of its own first: a crafted graph may crash that, and nothing else.

A runtime reads a graph with native code, and damaged graphs have been seen to abort it. Checksums
say only that a graph is the one that was sealed, not that it is harmless.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from viewfinder.engines.apart.process import COMPILING_S, answer_apart, run_apart
from viewfinder.engines.base import Device
from viewfinder.engines.loader import LoadedVariant, distributions, load_variant
from viewfinder.engines.releases import releases
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.store import is_builtin
from viewfinder.settings import Settings


def load_probed(bundle: Bundle, settings: Settings, *, variant: str | None = None) -> LoadedVariant:
    """Load a model as the settings say, once it has passed.

    What comes with the package is trusted as the package is, and runs no native code else.

    Raises:
        BundleError: The model cannot be used.
        EngineError: Its engine is another package's, and fails.
        MissingEngineError: No installed package brings its engine.
        MissingExtraError: Its engine is not installed.
    """
    threads, device = settings.compute_threads, settings.device
    cache = settings.home / "compiled"
    if not is_builtin(bundle) and bundle.manifest.variant(variant).engine != "fake":
        passed = settings.home / "probed"
        probe(bundle, threads=threads, device=device, passed=passed, variant=variant, cache=cache)
    return load_variant(bundle, threads=threads, variant=variant, device=device, cache=cache)


def probe(
    bundle: Bundle,
    *,
    threads: int,
    device: Device,
    passed: Path | None,
    variant: str | None = None,
    cache: Path | None = None,
) -> None:
    """Let another process load the model, unless this very one has passed before.

    Args:
        bundle: The model version.
        threads: As it will be loaded.
        device: As it will be loaded.
        passed: A folder that remembers what has passed. It may be read-only: then more is tried
            than need be. None tries in any case.
        variant: Which graph; the recommended one if not said.
        cache: A folder for what the engine compiles, so that it is compiled once.

    Raises:
        BundleError: The model cannot be used; the process may have crashed over it.
        EngineError: Several packages bring its engine.
        MissingEngineError: No installed package brings its engine.
    """
    mark = passed / _identity(bundle, device, variant) if passed is not None else None
    if mark is not None and mark.exists():
        return
    question = {
        "folder": str(bundle.folder.resolve()),
        "threads": threads,
        "device": device,
        "variant": variant,
        "cache": str(cache.resolve()) if cache is not None else None,
    }
    patience_s = COMPILING_S if device == "tensorrt" else None
    run_apart("viewfinder.engines.apart.probe", question, patience_s=patience_s)
    if mark is not None:
        with contextlib.suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def _identity(bundle: Bundle, device: Device, variant: str | None) -> str:
    """Of a model, and of the runtime that would load it: another release may fail over it."""
    chosen = bundle.manifest.variant(variant)
    runtime = " ".join(releases(distributions(chosen.engine)))
    identity = f"{bundle.digest} {chosen.name} {device} {runtime}"
    return hashlib.sha256(identity.encode()).hexdigest()


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    bundle = Bundle.open(Path(question["folder"]))
    cache = question["cache"]
    load_variant(
        bundle,
        threads=question["threads"],
        device=question["device"],
        variant=question["variant"],
        cache=Path(cache) if cache is not None else None,
    )
    return {}


if __name__ == "__main__":
    answer_apart(_answer)
