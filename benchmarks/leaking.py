"""A server with a leak, to prove that the soak finds one: it keeps a part of every body.

python -m benchmarks.leaking --port 8001 --model NAME
"""

import argparse

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.app import create_app
from viewfinder.server.listener import listen
from viewfinder.server.run import run
from viewfinder.settings import load_settings

_KEPT_BYTES = 16 * 1024


class Leaking:
    """Middleware that keeps the beginning of every body for ever."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def keep() -> Message:
            message = await receive()
            # Copied: a slice of all the bytes would be the same object.
            self._kept.append(bytes(bytearray(message.get("body", b"")[:_KEPT_BYTES])))
            return message

        await self._app(scope, keep if scope["type"] == "http" else receive, send)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    settings = load_settings(
        models=(arguments.model,), default_model=arguments.model, port=arguments.port
    )

    def leaking() -> FastAPI:
        app = create_app(settings)
        app.add_middleware(Leaking)
        return app

    run(leaking, settings, listen(settings.host, settings.port))


if __name__ == "__main__":
    main()
