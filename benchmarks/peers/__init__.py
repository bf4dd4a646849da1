"""Other ways to serve the same model, each as its own documentation would write it.

The servers run in environments of their own: what they import must need nothing of Viewfinder.
"""

import argparse
import os

WORKERS = int(os.environ.get("BENCHMARK_CORES", "2"))
"""Processes of compute, each with one thread: one for each core, as Viewfinder has threads."""

DEADLINE_S = 1
MOST_WAITING = 32
"""How long, and how many requests may wait, where a server's documentation has a setting for it."""


def port() -> int:
    """The port that the command line gives, to listen on at 127.0.0.1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    given: int = parser.parse_args().port
    return given
