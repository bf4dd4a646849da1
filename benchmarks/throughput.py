"""Served throughput and latency against the limit: decode and infer in one process, no HTTP.

    python -m benchmarks.throughput [--seconds 8] [--rounds 3]

The limit, the raw body and the form are measured in turn in each round; the medians of the rounds
are compared. `wrk` makes the load and takes its share of the same cores.
"""

import argparse
import threading
import time
from collections.abc import Callable

import httpx2

from benchmarks.harness import PHOTOS, median, multipart, save, server, wrk
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.registry import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits, available_cores

_ALONE = 200


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()

    cores = available_cores()
    photos = [path.read_bytes() for path in PHOTOS]
    bundle = scan((BUILTIN_STORE,)).resolve(BUILTIN_MODEL)
    loaded = load_variant(bundle, threads=cores)
    bodies = {
        "raw": [(photo, "image/jpeg") for photo in photos],
        "multipart": [multipart(photo) for photo in photos],
    }
    rates: dict[str, list[float]] = {"limit": [], "raw": [], "multipart": []}
    with server() as (address, _):
        url = f"{address}/v1/classify"
        for number in range(arguments.rounds):
            rates["limit"].append(limit(loaded, photos, threads=cores, seconds=arguments.seconds))
            for kind, posted in bodies.items():
                rate = wrk(
                    url, posted, connections=arguments.connections, seconds=arguments.seconds
                )
                rates[kind].append(rate)
            shown = ", ".join(f"{kind} {values[-1]:.1f}" for kind, values in rates.items())
            print(f"round {number + 1}: {shown} requests/s")
        alone_inside = alone(lambda photo: infer(loaded, photo), photos)
        with httpx2.Client(trust_env=False) as client:
            headers = {"Content-Type": "image/jpeg"}
            alone_served = alone(
                lambda photo: client.post(url, content=photo, headers=headers), photos
            )

    result = {kind: median(values) for kind, values in rates.items()}
    print(f"\n{'':24}requests/s   of the limit")
    for kind, rate in result.items():
        print(f"{kind:24}{rate:10.1f}   {rate / result['limit']:12.2f}")
    print(f"\none client, p50: decode + infer {alone_inside:.2f} ms, served {alone_served:.2f} ms")
    save(
        "throughput",
        {
            "requests_per_second": result,
            "ratio": {kind: rate / result["limit"] for kind, rate in result.items()},
            "one_client_p50_ms": {"decode_and_infer": alone_inside, "served": alone_served},
        },
    )


def infer(loaded: LoadedVariant, photo: bytes) -> None:
    """What a compute thread does for one photo."""
    loaded.confidence(preprocess(photo, loaded.variant.preprocess, Limits()))


def limit(loaded: LoadedVariant, photos: list[bytes], *, threads: int, seconds: float) -> float:
    """Photos per second with one thread a core and nothing else."""
    counts = [0] * threads
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            infer(loaded, photos[counts[number] % len(photos)])
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def alone(ask: Callable[[bytes], object], photos: list[bytes]) -> float:
    """Median milliseconds of one photo after the other."""
    times = []
    for number in range(_ALONE):
        began = time.perf_counter()
        ask(photos[number % len(photos)])
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


if __name__ == "__main__":
    main()
