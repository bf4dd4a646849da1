"""Writing the log: in order, all of it, and in nobody's way."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path

import httpx2
import pytest
from tests.support import COMMAND, environment, eventually, fake_bundle, free_port, grey

from viewfinder.telemetry.lines import Later, Lines
from viewfinder.telemetry.request import REQUEST_ID

_LOGGER = logging.getLogger("viewfinder.test")
# A pipe that nobody reads is full after 64 KiB; a line has over 300 bytes.
_MORE_THAN_A_PIPE_HOLDS = 600


@pytest.fixture
def out() -> io.StringIO:
    """Where lines go."""
    return io.StringIO()


@pytest.fixture
def later(out: io.StringIO) -> Iterator[Later]:
    """Where lines wait before they are written there, by the handler of the root logger."""
    later, root = Later(), logging.getLogger()
    handler = Lines(out, later)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(logging.Filter(_LOGGER.name))
    root.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    yield later
    root.removeHandler(handler)


def test_lines_stand_in_the_order_in_which_they_were_said(later: Later, out: io.StringIO) -> None:
    said: list[str] = []
    for number in range(100):
        for say in (later.say, later.say, lambda line: line()):
            said.append(f"{len(said)} {number}")
            say(partial(_LOGGER.info, said[-1]))
    assert out.getvalue().splitlines() == said


def test_a_line_that_waits_is_written_soon_and_what_others_say_at_once(
    later: Later, out: io.StringIO
) -> None:
    later.say(partial(_LOGGER.warning, "a"))
    eventually(lambda: out.getvalue() == "a\n")
    later.say(partial(_LOGGER.info, "b"))
    _LOGGER.info("c")
    assert out.getvalue() == "a\nb\nc\n"


def test_what_waits_is_written_when_that_is_asked_for(later: Later, out: io.StringIO) -> None:
    later.say(partial(_LOGGER.info, "a"))
    later.settle()
    assert out.getvalue() == "a\n"


def test_what_waits_is_written_at_the_end_of_the_process() -> None:
    program = (
        "import logging; from viewfinder.settings import LogSettings;"
        "from viewfinder.telemetry.lines import LATER;"
        "from viewfinder.telemetry.logs import configure_logging;"
        "configure_logging(LogSettings(format='json'));"
        "LATER.say(lambda: logging.getLogger('viewfinder').info('the last word'))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"the last word" in ended.stderr


def test_a_line_that_fails_takes_no_other_with_it(later: Later, out: io.StringIO) -> None:
    later.say(lambda: _LOGGER.info("%d", 1 / 0))
    later.say(partial(_LOGGER.info, "b"))
    eventually(lambda: out.getvalue() == "b\n")
    later.say(partial(_LOGGER.info, "c"))
    eventually(lambda: out.getvalue() == "b\nc\n")


def test_what_is_logged_while_a_line_is_laid_aside_waits_for_nothing(
    later: Later, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As garbage does that is collected there.
    def logging_copy() -> Context:
        _LOGGER.info("garbage")
        return copy_context()

    later.say(partial(_LOGGER.info, "a"))
    monkeypatch.setattr("contextvars.copy_context", logging_copy)
    later.say(partial(_LOGGER.info, "b"))
    later.settle()
    assert out.getvalue() == "a\ngarbage\nb\n"


def test_a_line_is_said_in_the_context_in_which_it_came_up(later: Later, out: io.StringIO) -> None:
    def in_a_request() -> None:
        REQUEST_ID.set("a")
        later.say(lambda: _LOGGER.info(REQUEST_ID.get()))

    copy_context().run(in_a_request)
    eventually(lambda: out.getvalue() == "a\n")


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
