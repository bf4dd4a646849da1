"""Runs a module of this package in a process of its own, which may crash and harm nothing."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from viewfinder.errors import BundleError, NotReadyError, OperatorError

_PROBLEM = 3
_PATIENCE_S = 120
_NICENESS = 10
COMPILING_S = 1800
"""Seconds to be patient for where TensorRT compiles a graph first, which takes it minutes."""
_ADDRESS_SPACE = 16 * 1024**3

_running: set["subprocess.Popen[bytes]"] = set()


def run_apart(
    module: str, question: dict[str, Any], *, patience_s: float | None = None
) -> dict[str, Any]:
    """Ask a module, whose main program calls `answer_apart`.

    Args:
        module: Its full name.
        question: JSON.
        patience_s: Seconds until it is given up; two minutes if not said.

    Returns:
        The answer, JSON too.

    Raises:
        BundleError: The module raised an `OperatorError`, crashed, or did not come to an end.
        NotReadyError: There was no room to try.
    """
    patience_s = _PATIENCE_S if patience_s is None else patience_s
    command = [sys.executable, "-P", "-m", module]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise NotReadyError(
            "The machine has no room for the process that tries a graph."
        ) from error
    with process:
        _running.add(process)
        try:
            said, _ = process.communicate(json.dumps(question).encode(), patience_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise BundleError(f"the graph was still busy after {patience_s:g} seconds") from error
        finally:
            _running.discard(process)
    if process.returncode not in {0, _PROBLEM}:
        raise BundleError(f"the process that tried the graph {_death(process.returncode)}")
    # A runtime may have said something of its own before.
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    if process.returncode == _PROBLEM:
        raise BundleError(answer["problem"])
    return answer


def stop_all() -> None:
    """End every process that is still being asked: nobody waits for the answers any more."""
    for process in list(_running):
        process.kill()


def answer_apart(
    answer: Callable[[dict[str, Any]], dict[str, Any]], *, niceness: int = _NICENESS
) -> None:
    """The main program of a module that `run_apart` asks.

    Args:
        answer: Turns the question into the answer. With `"device": "cpu"` in the question, memory
            is bounded: the driver of another device maps all that it has.
        niceness: By how much it steps back, as others may be served meanwhile; 0 where time is
            taken.
    """
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    question = json.load(sys.stdin)
    if question.get("device") == "cpu":
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    status = 0
    try:
        said = answer(question)
    except OperatorError as error:
        status, said = _PROBLEM, {"problem": error.detail}
    sys.stdout.write("\n" + json.dumps(said))
    sys.stdout.flush()
    os._exit(status)  # what a damaged graph does to a runtime's last steps does not count


def _death(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
