"""A server under load: how much it answers, and what each answer costs it."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.processes import Server
from benchmarks.wrk import Body, wrk


@dataclass(frozen=True, slots=True)
class Load:
    """A server under load.

    Attributes:
        rate: Requests per second.
        cpu_ms: Milliseconds of processor time for each.
    """

    rate: float
    cpu_ms: float


def measure(server: Server, bodies: Sequence[Body], connections: int, seconds: int) -> Load:
    """Ask a server for some seconds."""
    before = server.cpu_seconds()
    load = wrk(f"{server.url}/v1/classify", bodies, connections=connections, seconds=seconds)
    cpu_ms = (server.cpu_seconds() - before) / (load.rate * seconds) * 1000
    return Load(load.rate, cpu_ms)
