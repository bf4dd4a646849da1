"""Memory over many requests of every kind: good ones, broken ones, and clients that hang up.

    python -m benchmarks.soak [--requests 100000] [--model efficientnet-lite0] [--plant-leak]

The growth counts from the end of a warm-up of 2,000 requests. By default a model answers that takes
no time, so that the server's own paths are walked often. `--plant-leak` runs a server that keeps a
part of every body: then this must fail. The tests do the same (tests/robustness/test_memory.py).
"""

import base64
import itertools
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generator import Plan, Request, generating, http_request
from benchmarks.harness import Figure, parse, parser, photos, save
from benchmarks.processes import Server, clean_environment, running, viewfinder
from benchmarks.records import wait_for_records
from benchmarks.stores import publish_fake
from benchmarks.wrk import raw, settle

MOST_MB = 32.0
"""By how much the server may grow."""

_PATH = "/v1/classify"
_FAKE = "fake"
_EVERY_S = 0.5
_WIDTH = 80
_CONNECTIONS = 16
_BARS = "▁▂▃▄▅▆▇█"
_BOUNDARY = "bench-boundary"
_FORM_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
_EXPECTED = {
    "photo 200",
    "new connection 200",
    "form 200",
    "JSON 200",
    "cut 422",
    "no image 415",
    "no path 404",
    "hang-up left",
}


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a server went through.

    Attributes:
        samples: Its memory from the end of the warm-up on, in MB.
        outcomes: How many requests ended how.
    """

    samples: list[float]
    outcomes: dict[str, int]

    @property
    def growth(self) -> float:
        """By how many MB it is larger at the end."""
        return self.samples[-1] - self.samples[0]


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__, requests=(100_000, 5_000))
    made.add_argument("--model", default=_FAKE, help="who answers; default: one that does nothing")
    made.add_argument("--plant-leak", action="store_true", help="run a server that leaks")
    arguments = parse(made)
    soaked = soak(photos(), arguments.requests, model=arguments.model, leaking=arguments.plant_leak)
    samples, outcomes = soaked.samples, soaked.outcomes
    print(f"{sparkline(samples)} {samples[0]:.1f} to {samples[-1]:.1f} MB")
    print(", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()))
    growth = Figure("growth after the warm-up, MB", soaked.growth, at_most=MOST_MB)
    details = {"model": arguments.model, "planted_leak": arguments.plant_leak}
    save(
        "soak-planted" if arguments.plant_leak else "soak",
        [growth],
        requests=outcomes,
        samples_mb=samples,
        **details,
    )
    if not growth.reached:
        sys.exit(f"the server's memory grew by {growth.value:.1f} MB")


def soak(
    pictures: list[bytes],
    requests: int,
    *,
    warm_up: int = 2000,
    model: str = _FAKE,
    leaking: bool = False,
) -> Soaked:
    """Let a server answer so many requests, and watch its memory.

    Args:
        pictures: What is posted, JPEG.
        requests: How many, after the warm-up.
        warm_up: How many before.
        model: Who answers.
        leaking: Run a server that leaks.
    """
    asked = mix(pictures)
    with serving(model, leaking=leaking) as server:
        ask(server, asked, warm_up, [])
        samples = [server.memory_mb()]
        outcomes = ask(server, asked, requests, samples)
        samples.append(server.memory_mb())
    return Soaked(samples, outcomes)


@contextmanager
def serving(model: str, *, leaking: bool) -> Iterator[Server]:
    """The server to be watched."""
    with tempfile.TemporaryDirectory() as store:
        publish_fake(Path(store), _FAKE)
        with _started(model, store, leaking=leaking) as server:
            # The database is opened with the first answer, and takes its memory then.
            settle(f"{server.url}{_PATH}", raw(photos()[0]))
            wait_for_records(Path(store) / "viewfinder.db")
            yield server


def _started(model: str, store: str, *, leaking: bool) -> AbstractContextManager[Server]:
    if not leaking:
        database = f"sqlite:///{store}/viewfinder.db"
        return viewfinder(
            "--model", model, VIEWFINDER_MODEL_STORE=store, VIEWFINDER_DATABASE__URL=database
        )
    return running(
        [sys.executable, "-m", "benchmarks.leaking", "--model", model],
        ready="/health/ready",
        environment=clean_environment(store, VIEWFINDER_MODEL_STORE=store),
    )


def mix(pictures: list[bytes]) -> tuple[Request, ...]:
    """Photos on connections that are kept and on new ones, forms, JSON; four that go wrong."""
    turn = itertools.cycle(pictures)
    kept = [http_request("photo", _PATH, next(turn)) for _ in range(10)]
    new = [http_request("new connection", _PATH, next(turn), close=True) for _ in range(3)]
    forms = [
        http_request("form", _PATH, _form(next(turn)), content_type=_FORM_TYPE) for _ in range(3)
    ]
    document = json.dumps({"image": base64.b64encode(next(turn)).decode()}).encode()
    picture = pictures[0]
    return (
        *kept,
        *new,
        *forms,
        http_request("JSON", _PATH, document, content_type="application/json"),
        http_request("cut", _PATH, picture[: len(picture) // 2]),
        http_request("no image", _PATH, b"no image" * 1000),
        http_request("no path", "/v1/nowhere", b"hello"),
        http_request("hang-up", _PATH, picture, sent=0.5),
    )


def _form(picture: bytes) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()


def ask(
    server: Server, requests: tuple[Request, ...], count: int, samples: list[float]
) -> dict[str, int]:
    """How many of so many requests ended how: each as it should, or this is no measurement.

    Args:
        server: Who is asked.
        requests: Sent in turn.
        count: How many.
        samples: The server's memory meanwhile is added to it, in MB.
    """
    plan = Plan(server.port, requests, _CONNECTIONS, count=count)
    with generating(plan) as work:
        while not work.wait_until_asked(_EVERY_S):
            samples.append(server.memory_mb())
        outcomes = work.report().counts
    unexpected = {name: count for name, count in outcomes.items() if name not in _EXPECTED}
    if unexpected:
        sys.exit(f"the server did not answer as it should: {unexpected}")
    return outcomes


def sparkline(samples: list[float]) -> str:
    """The samples as bars, from the least to the most, not more than fit a line."""
    least, most = min(samples), max(samples)
    step = (most - least) / (len(_BARS) - 1) or 1.0
    shown = samples[:: math.ceil(len(samples) / _WIDTH)]
    return "".join(_BARS[round((sample - least) / step)] for sample in shown)


if __name__ == "__main__":
    main()
