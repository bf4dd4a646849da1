"""The server as a process: it starts, it stops, it survives."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.support import environment, fake_bundle, grey, photo, run_command, serving


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
    with serving(tmp_path, "--model", "slow") as server:
        host, port = server.address
        body = grey(0)
        head = (
            f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, port), timeout=30) as connection:
            connection.sendall(head.encode() + body)
            _wait_until_busy(server.process.pid)
            server.process.send_signal(sign)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"step-0" in answer
        assert server.process.wait(30) == 0


def _wait_until_busy(pid: int) -> None:
    """Until the request has been read: the server has the connection and nothing left to read."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if any(c.status == psutil.CONN_ESTABLISHED for c in process.net_connections("tcp")):
            return
    pytest.fail("the server did not take the connection")


def test_two_workers_answer_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        url = f"{server.url}/v1/classify"
        files = {"file": photo("sandal.jpg")}
        assert httpx2.post(url, files=files, trust_env=False).json()["class"] == "sandal"

        parent = psutil.Process(server.process.pid)
        before = _workers(parent, 2)
        os.kill(before[0], signal.SIGKILL)
        after = _workers(parent, 2, without=before[0])
        assert len(after) == 2
        for _ in range(5):
            answer = httpx2.post(url, files=files, trust_env=False, timeout=60)
            assert answer.json()["class"] == "sandal"
        assert server.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in after)


def _workers(parent: psutil.Process, count: int, without: int = 0) -> list[int]:
    deadline = time.monotonic() + 30
    pids: list[int] = []
    while time.monotonic() < deadline:
        children = parent.children()
        pids = [
            c.pid for c in children if "spawn_main" in " ".join(_command(c)) and c.pid != without
        ]
        if len(pids) == count:
            return pids
        time.sleep(0.05)
    pytest.fail(f"there are {len(pids)} workers, not {count}")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_no_server_imports_tensorflow(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        files = {"file": photo("cat.jpg")}
        httpx2.post(f"{server.url}/v1/classify", files=files, trust_env=False)
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "litert" in maps
    assert "tensorflow/" not in maps


def test_a_home_that_cannot_be_read_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    assert environment(tmp_path)["VIEWFINDER_HOME"] == str(tmp_path)
    with serving(tmp_path / "does" / "not" / "exist") as server:
        answer = httpx2.get(f"{server.url}/health/ready", trust_env=False)
        assert answer.json()["status"] == "ready"
