"""Run the application as the command line does, and as the tests do."""

import socket
from typing import TYPE_CHECKING

from viewfinder.server.config import ServerConfig
from viewfinder.server.drain import DrainingServer
from viewfinder.server.listener import allow_files
from viewfinder.server.protocol import GuardedProtocol
from viewfinder.server.workers import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from viewfinder.settings import Settings


def configure(application: "Callable[..., FastAPI]", settings: "Settings") -> ServerConfig:
    """How the application is served.

    Args:
        application: See `ServerConfig`.
        settings: The settings of all.
    """
    return ServerConfig(application, settings, GuardedProtocol)


def run(
    application: "Callable[..., FastAPI]", settings: "Settings", listener: socket.socket
) -> bool:
    """Serve until a signal ends it; say whether it ever came to that.

    Args:
        application: Makes it, in each worker anew: see `ServerConfig`.
        settings: How many workers there are, what the limits are, and how to stop.
        listener: The socket to listen on.
    """
    config = configure(application, settings)
    allow_files(settings.limits.connections)
    if settings.workers > 1:
        supervisor = Supervisor(config, [listener])
        supervisor.run()
        return not supervisor.failed
    server = DrainingServer(config)
    server.run(sockets=[listener])
    return server.started
