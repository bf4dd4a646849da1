"""One engine with one graph on one device: a row of `benchmarks.gpu`, in a process of its own.

python -m benchmarks.gpu_row QUESTION    (JSON; the answer is the last line)
"""

import asyncio
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import photos
from viewfinder.engines.apart.timing import images_per_second, median_ms, noise, peak_bytes
from viewfinder.engines.base import Device, Engine, EngineOptions, to_confidence
from viewfinder.engines.loader import LoadedVariant, engine_module
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.compute import Computation
from viewfinder.serving.queue.devices import Devices
from viewfinder.settings import Limits
from viewfinder.shared.machine import available_cores

PIXELS, LOGITS = "pixels.npy", "logits.npy"
"""Photos, uint8 `[N, S, S, 3]`, and what Keras says of them in float32, `[N, classes]`."""

_SERVED_BATCH = EngineOptions(threads=1).device_batch
# On a device, so that one batch is on its way while another is computed.
_DEVICE_CALLERS = 2
_PATIENCE_S = 60
_MB = 1_000_000

Load = Callable[[int], Engine]


def main() -> None:
    """Answer."""
    question = json.loads(sys.argv[1])
    if not question["half"]:
        # What a server always leaves on.
        vars(importlib.import_module("viewfinder.engines.onnx"))["TENSORRT_FP16"] = False
    print(json.dumps(measure(**question)))


def measure(
    *,
    folder: str,
    backbone: str,
    variant: str,
    device: Device,
    half: bool,
    batches: Sequence[int],
    seconds: float,
) -> dict[str, Any]:
    """Time a variant.

    Args:
        folder: What `gpu_graphs` filled.
        backbone: Which one.
        variant: Which of its graphs.
        device: Where to run.
        half: Whether TensorRT may compute in half precision.
        batches: Lengths of batch; a CPU takes one image after the other, and only 1 is tried.
        seconds: To be measured for.
    """
    bundle = Bundle.open(Path(folder) / backbone / "1")
    if variant not in {one.name for one in bundle.manifest.variants}:
        raise SystemExit(f"the graph {variant} could not be made")
    chosen = bundle.manifest.variant(variant)
    threads = available_cores() if device == "cpu" else _DEVICE_CALLERS
    # Nothing that another row has compiled or timed makes this one's first load shorter.
    cache = Path(folder) / "compiled" / f"{backbone}-{variant}-{device}-{half}"

    def load(batch: int) -> Engine:
        options = EngineOptions(threads, None, device, cache, batch)
        engine = engine_module(chosen.engine).load(bundle.verified(chosen.file), options)
        for count in {1, engine.traits.max_useful_batch}:
            engine.predict(noise(engine, count))
        return engine

    before = gpu_memory_mb()
    # XLA has one length of batch; the others, one engine for all of them.
    fixed = chosen.engine == "tensorflow" and device != "cpu"
    largest = _SERVED_BATCH if fixed else max(batches)
    first_s, engine = _timed(load, largest)
    engine.close()
    second_s, engine = _timed(load, largest)
    if device == "cpu":
        batches = [1]
    found = []
    for size in batches:
        with closing(load(size)) if fixed else nullcontext(engine) as asked:
            found.append(_batch(asked, size, threads, seconds))
    loaded = LoadedVariant(bundle, chosen, engine)
    served = asyncio.run(_served(loaded, photos(), seconds=seconds))
    after = gpu_memory_mb()
    return {
        "first_load_s": first_s,
        "second_load_s": second_s,
        "gpu_mb": None if before is None or after is None else after - before,
        "peak_mb": peak_bytes() / _MB,
        **_agreement(loaded, Path(folder)),
        "batches": found,
        "served_per_s": served,
    }


def gpu_memory_mb() -> float | None:
    """What is in use on the first GPU, by whomever; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return float(done.stdout.splitlines()[0])


def _timed(load: Load, batch: int) -> tuple[float, Engine]:
    began = time.perf_counter()
    engine = load(batch)
    return time.perf_counter() - began, engine


def _batch(engine: Engine, size: int, threads: int, seconds: float) -> dict[str, float]:
    batch = noise(engine, size)
    p50_ms = median_ms(engine, batch)
    together = images_per_second(engine, batch, threads=threads, seconds=seconds)
    return {"batch": size, "p50_ms": p50_ms, "images_per_s": together}


def _agreement(loaded: LoadedVariant, folder: Path) -> dict[str, float]:
    """With Keras in float32, over the photos: classes that are the same, confidence that is not."""
    expected = np.load(folder / LOGITS)
    scores = loaded.engine.predict(np.load(folder / PIXELS))
    off = to_confidence(scores, output="logits", temperature=1.0) - to_confidence(
        expected, output="logits", temperature=1.0
    )
    return {
        "same_class": float((scores.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        "confidence_off": float(np.abs(off).max()),
    }


async def _served(loaded: LoadedVariant, pictures: Sequence[bytes], *, seconds: float) -> float:
    """Photos per second, decoded and inferred as a server does it, but for HTTP."""
    cores = available_cores()
    waiting = 2 * cores + 4 * loaded.engine.traits.max_useful_batch
    devices = Devices(threads=cores, capacity=2 * waiting)
    devices.start()
    computation = Computation(loaded, Limits())
    done = 0
    began = time.monotonic()

    async def ask(number: int) -> None:
        nonlocal done
        while time.monotonic() < began + seconds:
            deadline = time.monotonic() + _PATIENCE_S
            photo = pictures[number % len(pictures)]
            await computation.run(photo, devices, deadline, "interactive")
            done += 1
            number += 1

    async with asyncio.TaskGroup() as group:
        for number in range(waiting):
            group.create_task(ask(number))
    elapsed = time.monotonic() - began
    devices.close()
    return done / elapsed


if __name__ == "__main__":
    main()
