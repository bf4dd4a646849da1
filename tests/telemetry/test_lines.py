"""Writing the log: in order, all of it, and in nobody's way."""

import io
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support import COMMAND, environment, eventually, fake_bundle, free_port, grey

from viewfinder.telemetry.lines import Lines

_REQUESTS = "viewfinder.test.requests"
# A pipe that nobody reads is full after 64 KiB; a line has over 300 bytes.
_MORE_THAN_A_PIPE_HOLDS = 600


@pytest.fixture
def out() -> io.StringIO:
    """Where lines go."""
    return io.StringIO()


@pytest.fixture
def root(out: io.StringIO) -> Iterator[logging.Logger]:
    """A logger whose child is the one that is gathered."""
    logger, handler = logging.getLogger("viewfinder.test"), Lines(out, _REQUESTS)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def test_lines_stand_in_the_order_in_which_they_were_said(
    root: logging.Logger, out: io.StringIO
) -> None:
    requests = logging.getLogger(_REQUESTS)
    said: list[str] = []
    for number in range(100):
        for logger in (requests, requests, root):
            said.append(f"{len(said)} {number}")
            logger.info(said[-1])
    assert out.getvalue().splitlines() == said


def test_a_line_that_waits_is_written_soon_and_what_others_say_at_once(
    root: logging.Logger, out: io.StringIO
) -> None:
    requests = logging.getLogger(_REQUESTS)
    requests.warning("a")
    eventually(lambda: out.getvalue() == "a\n")
    requests.info("b")
    root.info("c")
    assert out.getvalue() == "a\nb\nc\n"


def test_what_waits_is_written_at_the_end(root: logging.Logger, out: io.StringIO) -> None:
    logging.getLogger(_REQUESTS).info("a")
    root.handlers[0].flush()
    assert out.getvalue() == "a\n"


def test_a_log_that_nobody_reads_holds_up_no_answer(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    port, (reads, writes) = free_port(), os.pipe()
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", str(port)],
        env=environment(tmp_path, DEFAULT_MODEL="fake", RECORD="none", LOG__FORMAT="json"),
        stderr=writes,
    )
    os.close(writes)
    url = f"http://127.0.0.1:{port}"

    def is_there() -> bool:
        try:
            return httpx2.get(f"{url}/health/ready", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    try:
        eventually(is_there, within=60)
        with httpx2.Client(base_url=url, trust_env=False, timeout=20) as client:
            for _ in range(_MORE_THAN_A_PIPE_HOLDS):
                headers = {"Content-Type": "image/png"}
                assert client.post("/v1/classify", content=grey(1), headers=headers).is_success
    finally:
        process.kill()
        process.wait(30)
        os.close(reads)
