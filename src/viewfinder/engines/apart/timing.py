"""How fast a variant is on this machine, measured in a process of its own.

Alone, because runtimes' threads get in each other's way, because peak memory is a process' and
because a graph may crash. Nothing else should run meanwhile.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.apart.process import COMPILING_S, answer_apart, run_apart
from viewfinder.engines.base import Device, Engine
from viewfinder.engines.loader import check_installed, load_variant
from viewfinder.registry.bundle import Bundle

_LEAST_CALLS = 30
_ALONE_S = 0.5
# A graph that takes seconds is known well enough by fewer calls.
_PATIENT_S = 20.0
_TOGETHER_S = 1.0
_GIVEN_UP_S = 300

# What divides its threads once, by the first graph that a process loads.
_ONE_DIVISION = frozenset({"tensorflow"})

_Measure = Literal["alone", "together"]


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured.

    Attributes:
        p50_ms: Milliseconds of one image in one thread, the median.
        throughput: Images per second of as many callers side by side as there were threads, each
            with as many images in a call as is useful.
        peak_bytes: The most memory that the process of these callers had in RAM, Python included.
        load_ms: Milliseconds from its files to a graph in one thread that has proved itself.
    """

    p50_ms: float
    throughput: float
    peak_bytes: int
    load_ms: float


def time_variant(
    bundle: Bundle,
    variant: str,
    *,
    threads: int,
    device: Device = "cpu",
    cache: Path | None = None,
) -> Timing:
    """Load a variant in one thread, then in several, and time it over images of noise.

    Args:
        bundle: The model version.
        variant: Which of its graphs.
        threads: Callers side by side.
        device: Where to run, for engines that have the choice.
        cache: A folder for what the engine compiles.

    Raises:
        BundleError: The variant cannot be loaded, disagrees with its golden samples, or crashed.
        KeyError: The bundle has no such variant.
        MissingExtraError: Its engine is not installed.
        NotReadyError: There was no room for the process.
    """
    runtime = bundle.manifest.variant(variant).engine
    check_installed(runtime)
    question = {
        "folder": str(bundle.folder.resolve()),
        "variant": variant,
        "device": device,
        "cache": str(cache.resolve()) if cache is not None else None,
    }

    def ask(*measures: _Measure) -> dict[str, Any]:
        return run_apart(
            "viewfinder.engines.apart.timing",
            {**question, "measures": measures, "threads": threads},
            patience_s=COMPILING_S if device == "tensorrt" else _GIVEN_UP_S,
        )

    if runtime in _ONE_DIVISION:
        return Timing(**ask("alone"), **ask("together"))
    return Timing(**ask("alone", "together"))


def median_ms(engine: Engine, batch: NDArray[np.uint8]) -> float:
    """Median milliseconds of a call with these images, uint8 `[N, H, W, 3]`, after the other."""
    times: list[float] = []
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < _PATIENT_S:
        if len(times) >= _LEAST_CALLS and elapsed >= _ALONE_S:
            break
        call = time.perf_counter()
        engine.predict(batch)
        times.append(1000 * (time.perf_counter() - call))
    return float(np.median(times))


def images_per_second(
    engine: Engine, batch: NDArray[np.uint8], *, threads: int, seconds: float = _TOGETHER_S
) -> float:
    """What callers side by side get, each with these images, uint8 `[N, H, W, 3]`, in a call."""
    counts = [0] * threads
    began = time.perf_counter()
    end = began + seconds

    def call(number: int) -> None:
        while counts[number] == 0 or time.perf_counter() < end:
            engine.predict(batch)
            counts[number] += len(batch)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return sum(counts) / (time.perf_counter() - began)


def noise(engine: Engine, count: int) -> NDArray[np.uint8]:
    """Images that no two runs differ in, uint8 `[count, H, W, 3]`; no graph is quicker for them."""
    return np.random.default_rng(0).integers(0, 256, (count, *engine.input_shape), np.uint8)


def peak_bytes() -> int:
    """The most memory that this process had in RAM.

    The kernel's `ru_maxrss` would count what the parent had before this program began.
    """
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    measures = {"alone": _alone, "together": _together}
    found: dict[str, float] = {}
    for what in question["measures"]:
        found |= measures[what](question)
    return found


def _alone(question: dict[str, Any]) -> dict[str, float]:
    """One photo after the other, in one thread."""
    began = time.perf_counter()
    with _loaded(question, threads=1) as engine:
        load_ms = 1000 * (time.perf_counter() - began)
        return {"p50_ms": median_ms(engine, noise(engine, 1)), "load_ms": load_ms}


def _together(question: dict[str, Any]) -> dict[str, float]:
    """As it is served: all threads at work."""
    threads = question["threads"]
    with _loaded(question, threads=threads) as engine:
        batch = noise(engine, engine.traits.max_useful_batch)
        speed = images_per_second(engine, batch, threads=threads)
        return {"throughput": speed, "peak_bytes": peak_bytes()}


@contextmanager
def _loaded(question: dict[str, Any], *, threads: int) -> Iterator[Engine]:
    cache = question["cache"]
    engine = load_variant(
        Bundle.open(Path(question["folder"])),
        threads=threads,
        variant=question["variant"],
        device=question["device"],
        cache=Path(cache) if cache is not None else None,
    ).engine
    try:
        yield engine
    finally:
        engine.close()


if __name__ == "__main__":
    answer_apart(_answer, niceness=0)
