"""Decode and inference in this process, without HTTP: the limit of what a server can reach."""

import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.harness import median
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits


def builtin(*, threads: int) -> LoadedVariant:
    """The default model, ready to be called from that many threads."""
    return load_variant(scan((BUILTIN_STORE,)).resolve(BUILTIN_MODEL), threads=threads)


def infer(loaded: LoadedVariant, photo: bytes) -> None:
    """What a compute thread does for one photo."""
    loaded.confidence(preprocess(photo, loaded.variant.preprocess, Limits()))


def limit(loaded: LoadedVariant, photos: Sequence[bytes], *, threads: int, seconds: float) -> float:
    """Photos per second with that many threads and nothing else."""
    return rate(lambda photo: infer(loaded, photo), photos, threads=threads, seconds=seconds)


def rate(
    work: Callable[[bytes], object], photos: Sequence[bytes], *, threads: int, seconds: float
) -> float:
    """Photos per second of some work, done by that many threads."""
    counts = [0] * threads
    began = time.monotonic()
    end = began + seconds

    def repeat(number: int) -> None:
        while time.monotonic() < end:
            work(photos[counts[number] % len(photos)])
            counts[number] += 1

    workers = [threading.Thread(target=repeat, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.monotonic() - began)


def alone_ms(loaded: LoadedVariant, photos: Sequence[bytes], *, seconds: float) -> float:
    """Median milliseconds of one photo after the other."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        infer(loaded, photos[len(times) % len(photos)])
        times.append((time.perf_counter() - began) * 1000)
    return median(times)
