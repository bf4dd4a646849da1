"""How uvicorn is set up, and what its parts need to know."""

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fastapi import FastAPI

    from viewfinder.settings import Settings

_WORKER_SILENCE_S = 30


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, with the limits of connections and the phases of a stop.

    Args:
        application: Makes the application, and is told the place of its worker where there are
            several; then it can be pickled.
        settings: The settings of all.
        protocol: What speaks on each connection.
    """

    def __init__(
        self,
        application: "Callable[..., FastAPI]",
        settings: "Settings",
        protocol: "type[asyncio.Protocol]",
    ) -> None:
        super().__init__(
            application,
            factory=True,
            workers=settings.workers,
            loop="asyncio",  # with compute threads beside it quicker than uvloop: decisions/0004
            http=protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # anybody could say anything in them
            timeout_worker_healthcheck=_WORKER_SILENCE_S,
            reset_contextvars=True,  # else the next request of a connection may find the last's
        )
        self.limits = settings.limits
        self.body_s = settings.request_timeout_s
        self.drain = settings.drain
