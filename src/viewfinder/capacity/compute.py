"""What a model costs in this process, without a server."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from viewfinder.capacity.measured import Compute, Work
from viewfinder.capacity.progress import Tell
from viewfinder.engines.apart.timing import images_per_second, median_ms, noise
from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.serving.compute import Computation
from viewfinder.settings import Limits

_PARTS = 3


def measure_compute(
    loaded: LoadedVariant,
    photos: Sequence[bytes],
    limits: Limits,
    *,
    threads: int,
    seconds: float,
    tell: Tell,
    stop: threading.Event,
) -> Compute:
    """Time decoding, the graph, and both, on one thread and on all.

    Args:
        loaded: The model, ready for so many threads.
        photos: Files, taken in turn.
        limits: What will be decoded.
        threads: How many there are.
        seconds: How long each figure takes; the graph's one thread takes half a second at least.
        tell: Hears how it goes.
        stop: Set when nobody waits for the figures any more.
    """
    spec, engine = loaded.variant.preprocess, loaded.engine
    computation = Computation(loaded, limits)
    computation.compute(photos[0])
    timed = partial(_timed, photos=photos, seconds=seconds, stop=stop)

    def work(what: Callable[[bytes], object]) -> Work:
        alone, _, _ = timed(what, threads=1)
        _, rate, _ = timed(what, threads=threads)
        return Work(alone, rate)

    title = "without a server"
    tell(title, 0, _PARTS)
    decode = work(lambda photo: preprocess(photo, spec, limits))
    tell(title, 1, _PARTS)
    largest = engine.traits.max_useful_batch
    inference = Work(
        median_ms(engine, noise(engine, 1)),
        images_per_second(engine, noise(engine, largest), threads=threads, seconds=seconds),
    )
    tell(title, 2, _PARTS)
    alone, _, _ = timed(computation.compute, threads=1)
    _, together, share = timed(computation.compute, threads=threads)
    if largest > 1:  # photos are decoded while a device works on others
        together, share = min(decode.per_second, inference.per_second), 1.0
    tell(title, _PARTS, _PARTS)
    return Compute(threads, decode, inference, Work(alone, together), share)


def _timed(
    work: Callable[[bytes], object],
    *,
    photos: Sequence[bytes],
    threads: int,
    seconds: float,
    stop: threading.Event,
) -> tuple[float, float, float]:
    """The median of milliseconds, photos per second, and the share of cores that threads got."""
    times: list[list[float]] = [[] for _ in range(threads)]
    used, began = time.process_time(), time.perf_counter()
    end = began + seconds

    def repeat(number: int) -> None:
        mine = times[number]
        while not mine or (time.perf_counter() < end and not stop.is_set()):
            call = time.perf_counter()
            # Each begins elsewhere, so that not all are at the largest one at once.
            work(photos[(number + len(mine)) % len(photos)])
            mine.append(1000 * (time.perf_counter() - call))

    workers = [threading.Thread(target=repeat, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    taken = np.concatenate(times)
    share = (time.process_time() - used) / (took * threads)
    return float(np.median(taken)), len(taken) / took, min(1.0, share)
