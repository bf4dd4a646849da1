"""The server as a process: it starts, it stops, it survives."""

import json
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.support import (
    COMMAND,
    environment,
    eventually,
    fake_bundle,
    grey,
    photo,
    run_command,
    serving,
    workers_of,
)

from viewfinder.server.listener import listen


def test_a_stranger_posts_a_photo(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        files = {"file": photo("espresso.jpg")}
        answer = httpx2.post(f"{server.url}/v1/classify", files=files, trust_env=False)
        assert answer.json()["class"] == "espresso"
        assert server.stop() == 0
    assert "/v1/classify" in "".join(server.lines)
    assert "Traceback" not in "".join(server.lines)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_command("serve", "--port", str(port), home=tmp_path)
    assert result.returncode == 1
    assert f"port {port} is taken" in result.stderr
    assert "--port" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_before_the_end(tmp_path: Path, sign: int) -> None:
    fake_bundle(tmp_path / "models", "slow", milliseconds=1500)
    with serving(
        tmp_path, "--model", "slow", "--threads", "1", QUEUE_SIZE=1, CACHE__ENABLED="false"
    ) as server:
        url = f"{server.url}/v1/classify"

        def ask(_: int) -> httpx2.Response:
            return httpx2.post(url, files={"file": grey(0)}, timeout=60, trust_env=False)

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask, number) for number in range(4)]
            # One is worked on, at most one waits, and the others find no room: they come at once.
            refused = list(islice(as_completed(asked), 2))
            server.process.send_signal(sign)
            answers = [future.result() for future in asked]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert {future.result().status_code for future in refused} == {503}
        assert server.process.wait(30) == 0


def test_a_client_that_leaves_during_its_upload_is_no_event(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        head = (
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 100000\r\n\r\nabc"
        )
        with socket.create_connection(server.address) as connection:
            connection.sendall(head)
        files = {"file": photo("cat.jpg")}
        assert httpx2.post(f"{server.url}/v1/classify", files=files, trust_env=False).is_success
        server.stop()
    assert "ERROR" not in "".join(server.lines)


def test_json_tells_a_machine_where_the_server_is(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--json"],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        # At once: the address is told when it can be connected to, not before.
        assert httpx2.get(f"{url}/health", timeout=30, trust_env=False).is_success
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_a_signal_during_the_start_ends_it_cleanly(tmp_path: Path) -> None:
    with serving(tmp_path, until="Viewfinder on") as server:
        assert server.stop() == 0
    assert "Traceback" not in "".join(server.lines)


def test_two_workers_answer_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        url = f"{server.url}/v1/classify"
        files = {"file": photo("sandal.jpg")}
        assert httpx2.post(url, files=files, trust_env=False).json()["class"] == "sandal"

        eventually(lambda: len(workers_of(server)) == 2)
        killed = workers_of(server)[0]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: len({*workers_of(server)} - {killed}) == 2)
        after = workers_of(server)
        for _ in range(5):
            answer = httpx2.post(url, files=files, trust_env=False, timeout=60)
            assert answer.json()["class"] == "sandal"
        assert server.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in after)


def test_no_server_imports_tensorflow(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        files = {"file": photo("cat.jpg")}
        httpx2.post(f"{server.url}/v1/classify", files=files, trust_env=False)
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "litert" in maps
    assert "tensorflow/" not in maps


def test_a_home_that_does_not_exist_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    with serving(tmp_path / "does" / "not" / "exist") as server:
        answer = httpx2.get(f"{server.url}/health/ready", trust_env=False)
        assert answer.json()["status"] == "ready"


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    # asyncio turns Nagle's algorithm off for sockets that name TCP as their protocol, as these do.
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
