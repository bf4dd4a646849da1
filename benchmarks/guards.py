"""What the guards cost: processor time of one request through all of them, and nothing behind.

    python -m benchmarks.guards [--requests 20000] [--rounds 5]

The guards are those of a real application with keys, rate limits and trusted proxies on, in its
own order. They are put around an application that reads the body and answers; one guard is added
at a time, from the inside out, so that each line is what that guard adds. The parser's limits are
no guard: they are measured with the server (`benchmarks.servers`).
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.harness import Figure, median, parse, parser, save
from viewfinder.app import create_app
from viewfinder.settings import AuthSettings, RateLimitSettings, Settings

_MOST_US = 100.0
_ENDLESS = 1_000_000_000
_BODY = b"\xff" * 1000


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, requests=(20_000, 1000), rounds=(5, 1)))
    costs = asyncio.run(measure(arguments.requests, arguments.rounds))
    before = 0.0
    for name, cost in costs.items():
        print(f"{name:16} {cost - before:6.1f} µs")
        before = cost
    total = list(costs.values())[-1] - next(iter(costs.values()))
    save("guards", [Figure("all guards, µs a request", total, at_most=_MOST_US)], costs_us=costs)


async def measure(requests: int, rounds: int) -> dict[str, float]:
    """Microseconds of processor time a request, with ever more guards; the first is with none."""
    with tempfile.TemporaryDirectory() as home:
        key = Path(home) / "key"
        key.write_text(secrets.token_hex(32))
        app = create_app(
            Settings(
                home=Path(home),
                auth=AuthSettings(enabled=True, bootstrap_key_file=key),
                rate_limit=RateLimitSettings(enabled=True, requests=_ENDLESS),
                trusted_proxies=("127.0.0.1/32",),
            )
        )
        async with app.router.lifespan_context(app):
            scope = scope_of(app, key.read_text())
            return await compare(stacks(app.user_middleware), scope, requests, rounds)


def stacks(guards: Sequence[Middleware]) -> dict[str, ASGIApp]:
    """The application behind no guard, behind the innermost, and so on; by the outermost's name."""
    made: dict[str, ASGIApp] = {"no guard": _answer}
    inside: ASGIApp = _answer
    for guard in reversed(guards):
        inside = guard.cls(inside, *guard.args, **guard.kwargs)
        made[getattr(guard.cls, "__name__", str(guard.cls))] = inside
    return made


async def compare(
    by_name: dict[str, ASGIApp], scope: Callable[[], Scope], requests: int, rounds: int
) -> dict[str, float]:
    """Medians over rounds, in each of which every stack has its turn."""
    seen: dict[str, list[float]] = {name: [] for name in by_name}
    for _ in range(rounds):
        for name, app in by_name.items():
            began = time.process_time()
            for _ in range(requests):
                await app(scope(), _receive, _send)
            seen[name].append((time.process_time() - began) / requests * 1e6)
    return {name: median(costs) for name, costs in seen.items()}


def scope_of(app: FastAPI, key: str) -> Callable[[], Scope]:
    """Makes the head of a photo's request through a proxy, as curl and nginx write it."""
    headers = [
        (b"host", b"models.example.org"),
        (b"user-agent", b"curl/8.14.1"),
        (b"accept", b"*/*"),
        (b"authorization", f"Bearer {key}".encode()),
        (b"x-forwarded-for", b"203.0.113.7"),
        (b"x-forwarded-proto", b"https"),
        (b"content-type", b"image/jpeg"),
        (b"content-length", str(len(_BODY)).encode()),
    ]

    def make() -> Scope:
        return {
            "type": "http",
            "app": app,
            "method": "POST",
            "path": "/v1/classify",
            "query_string": b"",
            "scheme": "http",
            "client": ("127.0.0.1", 40000),
            "headers": headers,
            # As far as the guards that stand alone at first need what outer ones would have left.
            "state": {"request_id": "x", "began": time.monotonic(), "principal": None}
            | {"identity_error": None},
        }

    return make


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    del scope
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _receive() -> Message:
    return {"type": "http.request", "body": _BODY, "more_body": False}


async def _send(message: Any) -> None:
    del message


if __name__ == "__main__":
    main()
