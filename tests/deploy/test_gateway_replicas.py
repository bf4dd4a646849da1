"""The gateway before several servers: who comes and goes costs no request."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.gateway import SHIPPED, Gateway, gateway
from tests.deploy.replicas import Replica, replica
from tests.robustness.clients import LOST, Clients
from tests.support import (
    Answer,
    Server,
    eventually,
    fake_bundle,
    grey,
    read_answer,
    request_of,
    serving,
)

PHOTO = request_of(grey(0))
KEPT, NEW = 2, 3


@contextlib.contextmanager
def _serving(home: Path) -> Iterator[Server]:
    """One whose answers take long enough that there is always one under way."""
    fake_bundle(home / "models", "slow", milliseconds=20)
    options: dict[str, Any] = {
        "CACHE__ENABLED": "false",
        "TRUSTED_PROXIES": "127.0.0.1",
        "DRAIN__DELAY_S": 1,
    }
    with serving(home, "--model", "slow", "--threads", "4", **options) as server:
        yield server


@pytest.fixture(scope="module")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that stays."""
    with _serving(tmp_path_factory.mktemp("staying")) as server:
        yield server


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Server]:
    """One that may go."""
    with _serving(tmp_path / "going") as server:
        yield server


@pytest.fixture
def before(going: Server, staying: Server) -> Iterator[Gateway]:
    """A gateway before both."""
    with gateway([going.address, staying.address]) as running:
        yield running


@pytest.fixture
def by_hand() -> Iterator[list[Replica]]:
    with replica() as first, replica() as second:
        yield [first, second]


@pytest.fixture
def before_them(by_hand: list[Replica]) -> Iterator[Gateway]:
    with gateway([one.address for one in by_hand]) as running:
        yield running


def _clients(before: Gateway) -> Clients:
    return Clients(before.address, PHOTO, kept=KEPT, new=NEW, tls=before.tls)


def _ask(before: Gateway, request: bytes) -> tuple[threading.Thread, list[Answer]]:
    answers: list[Answer] = []

    def ask() -> None:
        with before.connection() as connection:
            connection.sendall(request)
            answers.append(read_answer(connection))

    asking = threading.Thread(target=ask)
    asking.start()
    return asking, answers


def test_one_that_stops_costs_no_request(going: Server, before: Gateway) -> None:
    with _clients(before) as clients:
        clients.go_on(60)
        assert going.stop() == 0
        clients.go_on(60)
    assert clients.kinds.keys() == {"200"}
    assert not [line for line in going.lines if "cut off" in line]


def test_one_that_is_killed_costs_no_photo(going: Server, before: Gateway) -> None:
    with _clients(before) as clients:
        clients.go_on(60)
        going.process.send_signal(signal.SIGKILL)
        going.process.wait(30)
        clients.go_on(60)
    assert clients.kinds.keys() == {"200"}
    # Some were under way, and were asked for again.
    eventually(lambda: [line for line in before.log if line["replica_status"] == "502, 200"])


def test_readiness_is_that_of_one_that_is_ready(going: Server, before: Gateway) -> None:
    with before.client() as client:
        going.process.send_signal(signal.SIGTERM)
        statuses = set()
        while going.process.poll() is None:
            statuses.add(client.get("/health/ready").status_code)
        statuses.add(client.get("/health/ready").status_code)
    assert statuses == {200}


def test_where_there_is_nobody_it_says_so() -> None:
    with replica() as gone:
        pass  # nobody listens there any more
    with gateway([gone.address]) as before, before.client() as client:
        for path in ("/health/ready", "/v1/classify", "/v1/models"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"] == "1"


def test_a_reload_costs_no_request(staying: Server) -> None:
    with gateway([staying.address]) as before:
        old = set(before.workers)
        with _clients(before) as clients:
            for _ in range(5):
                clients.go_on(20)
                before.reload()
            clients.go_on(20)
        eventually(lambda: not old & set(before.workers))
    # Who keeps a connection may meet its end, and asks again: so has HTTP/1.1 it.
    lost = [one for one in clients.outcomes if one.kind == LOST and not one.kept]
    assert lost == []
    assert clients.kinds.keys() <= {"200", LOST}


def test_a_replica_that_comes_is_found_by_a_reload(staying: Server, by_hand: list[Replica]) -> None:
    came = by_hand[0]
    with gateway([staying.address]) as before:
        upstream = before.folder / "conf.d" / "upstream.conf"
        host, port = staying.address
        here = f"server {host}:{port}"
        there = f"server {came.address[0]}:{came.address[1]}; {here}"
        upstream.write_text(upstream.read_text().replace(here, there))
        before.reload()

        def is_asked() -> bool:
            _, answers = _ask(before, PHOTO)
            eventually(lambda: answers or came.is_waited_for)
            return came.is_waited_for

        eventually(is_asked)
        with came.asked() as asked:
            asked.take(len(grey(0)))
            asked.answer()


@pytest.mark.parametrize("path", ["/v1/classify", "/classify"])
def test_a_photo_whose_replica_goes_is_asked_for_again(
    before_them: Gateway, by_hand: list[Replica], path: str
) -> None:
    photo = grey(0)
    asking, answers = _ask(before_them, request_of(photo, path=path))
    first, second = _in_their_order(by_hand)
    with first.asked() as asked:
        asked.take(len(photo))
    with second.asked() as asked:
        asked.take(len(photo))
        assert asked.body == photo
        asked.answer()
    asking.join(30)
    assert answers[0].status == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batch-classify", "/v1/models/a/rollback"])
def test_what_is_no_photo_is_not_carried_out_twice(
    before_them: Gateway, by_hand: list[Replica], path: str
) -> None:
    photo = grey(0)
    asking, answers = _ask(before_them, request_of(photo, path=path))
    first, second = _in_their_order(by_hand)
    with first.asked() as asked:
        asked.take(len(photo))
    asking.join(30)
    assert not second.is_waited_for
    assert answers[0].status == 503
    assert json.loads(answers[0].body)["code"] == "not_ready"
    assert answers[0].headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batch-classify", "/v1/models/a/rollback"])
def test_what_has_not_been_sent_goes_to_another(path: str) -> None:
    photo = grey(0)
    with replica() as alive, contextlib.ExitStack() as stack:
        with replica() as gone:
            pass  # nobody listens there any more
        before = stack.enter_context(gateway([gone.address, alive.address]))
        for _ in range(2):  # each of them has its turn
            asking, answers = _ask(before, request_of(photo, path=path))
            with alive.asked() as asked:
                asked.take(len(photo))
                asked.answer()
            asking.join(30)
            assert answers[0].status == 200
        eventually(lambda: [line for line in before.log if line["replica_status"] == "502, 200"])


@pytest.mark.parametrize(
    ("path", "closes"),
    [("/v1/jobs", True), ("/v1/batch-classify", True), ("/v1/classify", False)],
)
def test_what_is_sent_but_once_gets_a_connection_of_its_own(
    before_them: Gateway, by_hand: list[Replica], path: str, *, closes: bool
) -> None:
    asking, _ = _ask(before_them, request_of(grey(0), path=path))
    first, _ = _in_their_order(by_hand)
    with first.asked() as asked:
        assert (asked.headers["Connection"] == "close") == closes
        asked.answer()
    asking.join(30)


def test_an_answer_that_never_comes_is_said_in_time(by_hand: list[Replica]) -> None:
    shipped = (SHIPPED / "conf.d" / "proxy.conf").read_text()
    hasty = shipped.replace("proxy_read_timeout 60s", "proxy_read_timeout 1s")
    assert hasty != shipped
    with gateway([by_hand[0].address], files={"proxy.conf": hasty}) as before:
        asking, answers = _ask(before, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with by_hand[0].asked():
            asking.join(30)
    assert answers[0].status == 504
    assert json.loads(answers[0].body)["code"] == "deadline_exceeded"


def _in_their_order(by_hand: list[Replica]) -> list[Replica]:
    """Who is asked first comes first."""
    order: list[Replica] = []

    def somebody_is_asked() -> bool:
        order[:] = sorted(by_hand, key=lambda one: not one.is_waited_for)
        return order[0].is_waited_for

    eventually(somebody_is_asked)
    return order
