"""Callbacks go out signed, again and again until they are taken; on both databases."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.jobs.receiver import BODY, Clock, Receiver, put, receiving
from tests.net.hosts import answer, hosting
from tests.support import eventually, fake_bundle, free_port, serving, soon

from viewfinder import __version__
from viewfinder.errors import DatabaseError
from viewfinder.jobs.callbacks import deliverer as deliverer_module
from viewfinder.jobs.callbacks.deliverer import Deliverer
from viewfinder.jobs.callbacks.schedule import PAUSES_S, Answer, judge
from viewfinder.settings import Settings, WebhookSettings
from viewfinder.storage.database import Database
from viewfinder.storage.deliveries import Attempt, Deliveries, Delivery
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.schema import open_database
from viewfinder.storage.secrets import WebhookSecrets

LEASE_S = 15 + 30


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def delivering(
    settings: Settings, clock: Clock, *ports: int, timeout_s: float = 15
) -> AsyncIterator[Deliverer]:
    """Who sends, to this machine's own ports, whenever it is told to; each pause is the shortest.

    Args:
        settings: Where the database is.
        clock: What time it is.
        ports: Which may be called.
        timeout_s: How long one call may take.
    """
    called = WebhookSettings(allow_private=True, ports=ports, timeout_s=timeout_s)
    given = settings.model_copy(update={"webhooks": called})
    link = DatabaseLink(given)
    deliverer = Deliverer(link, given, clock=clock, dice=lambda: 0.0)
    yield deliverer
    await deliverer.close()
    await link.close()


async def _only(database: Database, job: str) -> tuple[Delivery, tuple[Attempt, ...]]:
    (found,) = await Deliveries(database).of_job(job)
    return found


async def test_a_callback_is_one_that_a_library_of_its_receiver_verifies(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    identifier = await put(database, receiver.url, clock.now, job="j", owner="key:1")
    secret = await WebhookSecrets(database).of("key:1", clock.now)
    other = await WebhookSecrets(database).of(None, clock.now)
    async with delivering(settings, clock, receiver.port) as deliverer:
        await deliverer.deliver()
    (call,) = receiver.calls
    assert call.verifies(secret.secret)
    assert not call.verifies(other.secret)
    assert call.body == BODY
    assert call.id == identifier
    assert call.headers["webhook-timestamp"] == str(int(clock.now.timestamp()))
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"] == f"Viewfinder/{__version__}"
    delivery, (attempt,) = await _only(database, "j")
    assert (delivery.state, delivery.due) == ("delivered", None)
    assert (attempt.began, attempt.status, attempt.error) == (clock.now, 204, None)
    assert attempt.seconds > 0


async def test_it_is_sent_until_it_is_taken_under_one_id_and_signed_each_time_anew(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    refusals = [500, 301, 404, 429, 503, 400]
    elsewhere = {"Location": f"{receiver.url}/elsewhere"}
    receiver.answers = [(status, elsewhere) for status in refusals]
    identifier = await put(database, receiver.url, clock.now, job="j")
    secret = await WebhookSecrets(database).of(None, clock.now)
    times = []
    async with delivering(settings, clock, receiver.port) as deliverer:
        for pause in PAUSES_S[: len(refusals)]:
            await deliverer.deliver()
            assert receiver.calls[-1].verifies(secret.secret)
            times.append(clock.now)
            clock.forward(pause - 1)
            await deliverer.deliver()
            assert len(receiver.calls) == len(times)
            clock.forward(1)
        await deliverer.deliver()
        clock.forward(9e6)
        await deliverer.deliver()
    assert {call.id for call in receiver.calls} == {identifier}
    assert len({call.headers["webhook-timestamp"] for call in receiver.calls}) == 7
    assert len({call.headers["webhook-signature"] for call in receiver.calls}) == 7
    delivery, attempts = await _only(database, "j")
    assert delivery.state == "delivered"
    assert [attempt.status for attempt in attempts] == [*refusals, 204]
    assert [attempt.began for attempt in attempts[:-1]] == times
    assert attempts[1].error == "A redirect is not followed."


async def test_after_three_days_it_is_given_up_and_can_be_sent_again(
    settings: Settings,
    database: Database,
    clock: Clock,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.answers = [(500, {}) for _ in range(11)]
    identifier = await put(database, receiver.url, clock.now, job="j")
    began = clock.now
    async with delivering(settings, clock, receiver.port) as deliverer:
        for pause in PAUSES_S:
            await deliverer.deliver()
            clock.forward(pause)
        assert timedelta(days=2.9) < clock.now - began < timedelta(days=3)
        assert (await _only(database, "j"))[0].state == "waiting"
        assert identifier not in caplog.text
        await deliverer.deliver()
        assert f"{identifier} is given up" in caplog.text
        clock.forward(9e6)
        await deliverer.deliver()
        delivery, attempts = await _only(database, "j")
        assert (delivery.state, delivery.finished, len(attempts)) == (
            "expired",
            began + timedelta(seconds=sum(PAUSES_S)),
            11,
        )
        assert len(receiver.calls) == 11

        assert await Deliveries(database).redeliver("j", clock.now) == [identifier]
        await deliverer.deliver()
    assert (await _only(database, "j"))[0].state == "delivered"
    assert receiver.calls[-1].id == identifier


async def test_410_stops_and_any_2xx_is_taken(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    expected = {200: "delivered", 201: "delivered", 299: "delivered", 410: "refused"}
    async with delivering(settings, clock, receiver.port) as deliverer:
        for status, state in expected.items():
            receiver.answers = [(status, {})]
            await put(database, receiver.url, clock.now, job=str(status))
            await deliverer.deliver()
            delivery, (attempt,) = await _only(database, str(status))
            assert (delivery.state, attempt.status) == (state, status)
        clock.forward(9e6)
        await deliverer.deliver()
    assert len(receiver.calls) == len(expected)


@pytest.mark.parametrize(
    ("status", "given", "pause_s"),
    [
        (429, "90", 90),
        (503, "90", 90),
        (503, "2", 5),
        (429, "86400", 3600),
        (500, "90", 5),
        (429, "-1", 5),
        (429, "Fri, 01 May 2026 13:00:00 GMT", 5),
        (429, "9" * 50, 5),
        (429, "1e3", 5),
        (429, "\u0661", 5),
    ],
)
async def test_a_receiver_that_says_when_is_called_then(
    clock: Clock, receiver: Receiver, tmp_path: Any, *, status: int, given: str, pause_s: int
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    receiver.answers = [(status, {"Retry-After": given.encode().decode("latin-1")})]
    await put(database, receiver.url, clock.now, job="j")
    async with delivering(settings, clock, receiver.port) as deliverer:
        await deliverer.deliver()
    delivery, _ = await _only(database, "j")
    assert delivery.due == clock.now + timedelta(seconds=pause_s)
    await database.close()


def test_pauses_are_up_to_a_tenth_longer(clock: Clock) -> None:
    for made, pause in enumerate(PAUSES_S):
        for jitter in (0.0, 0.5, 1.0):
            state, due = judge(Answer(None, "none"), made, clock.now, jitter)
            assert state == "waiting"
            assert due == clock.now + timedelta(seconds=pause * (1 + jitter / 10))
    assert judge(Answer(500), len(PAUSES_S), clock.now, 0.0) == ("expired", None)


async def test_after_a_rotation_both_secrets_verify_for_a_day(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    secrets = WebhookSecrets(database)
    first = await secrets.of(None, clock.now)
    second = await secrets.rotate(None, clock.now)
    async with delivering(settings, clock, receiver.port) as deliverer:
        for _ in range(2):
            await put(database, receiver.url, clock.now)
            await deliverer.deliver()
            clock.forward(24 * 3600)
    during, after = receiver.calls
    assert during.headers["webhook-signature"].count("v1,") == 2
    # What the receiver looks at is the time of the call.
    clock.forward(-48 * 3600)
    assert during.verifies(first.secret)
    assert during.verifies(second.secret)
    clock.forward(24 * 3600)
    assert not after.verifies(first.secret)
    assert after.verifies(second.secret)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:  # until the other side has had enough
        connection.sendall(b"3e8\r\n" + bytes(1000) + b"\r\n")


def _endless_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        connection.sendall(b"X-%d: %b\r\n" % (number, bytes([120]) * 1000))


@pytest.mark.parametrize(
    ("said", "state", "error"),
    [
        (_endless, "delivered", None),
        (_endless_head, "waiting", "cannot be reached, or does not speak HTTP"),
        (b"220 mail.example.com ESMTP\r\n", "waiting", "does not speak HTTP"),
        (b"", "waiting", "cannot be reached"),
        (answer(b"x" * 10, headers={"Content-Length": "99"}), "delivered", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", "delivered", None),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "waiting", "does not speak HTTP"),
    ],
    ids=["endless", "endless head", "mail", "nothing", "short", "broken", "another protocol"],
)
async def test_only_the_head_of_an_answer_counts_and_none_is_read_for_ever(
    clock: Clock, tmp_path: Any, *, said: Any, state: str, error: str | None
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    with hosting({"/": said}) as host:
        await put(database, host.url(), clock.now, job="j")
        async with delivering(settings, clock, host.port) as deliverer:
            await deliverer.deliver()
    delivery, (attempt,) = await _only(database, "j")
    assert delivery.state == state
    if error is None:
        assert attempt.error is None
    else:
        assert error in (attempt.error or "")
    await database.close()


async def test_who_refuses_or_is_silent_is_called_again(
    settings: Settings, database: Database, clock: Clock
) -> None:
    closed = free_port()

    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):  # until the other side has had enough
            pass

    def dripping(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        silent(connection)

    with hosting({"/silent": silent, "/dripping": dripping}) as host:
        await put(database, f"http://127.0.0.1:{closed}/", clock.now, job="closed")
        await put(database, host.url("/silent"), clock.now, job="silent")
        await put(database, host.url("/dripping"), clock.now, job="dripping")
        ports = (closed, host.port)
        async with delivering(settings, clock, *ports, timeout_s=0.5) as deliverer:
            await deliverer.deliver()
    found = {job: await _only(database, job) for job in ("closed", "silent", "dripping")}
    states = {job: delivery.state for job, (delivery, _) in found.items()}
    assert states == {"closed": "waiting", "silent": "waiting", "dripping": "delivered"}
    errors = {job: attempt.error for job, (_, (attempt,)) in found.items()}
    assert errors["silent"] == "The host did not answer within 0.5 s."
    assert errors["closed"] is not None
    assert str(closed) not in errors["closed"]


async def test_a_slow_host_does_not_hold_up_the_others(
    clock: Clock, receiver: Receiver, tmp_path: Any
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    with receiving() as slow:
        slow.hold.clear()
        for number in range(40):
            await put(database, f"{slow.url}/{number}", clock.now - timedelta(days=1))
        await put(database, receiver.url, clock.now)
        async with delivering(settings, clock, slow.port, receiver.port) as deliverer:
            working = asyncio.create_task(deliverer.deliver())
            await soon(lambda: receiver.calls and slow.calls)
            assert len(slow.calls) < 16
            slow.hold.set()
            await working
        assert len(slow.calls) == 40
    await database.close()


async def test_two_who_send_side_by_side_send_once(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    sent = {await put(database, receiver.url, clock.now) for _ in range(30)}
    async with (
        delivering(settings, clock, receiver.port) as one,
        delivering(settings, clock, receiver.port) as other,
    ):
        await asyncio.gather(one.deliver(), other.deliver())
    assert len(receiver.calls) == 30
    assert {call.id for call in receiver.calls} == sent


async def test_what_was_sent_and_not_recorded_is_sent_again_once_the_lease_is_over(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    identifier = await put(database, receiver.url, clock.now, job="j")
    receiver.hold.clear()
    async with delivering(settings, clock, receiver.port) as deliverer:
        dies = asyncio.create_task(deliverer.deliver())
        await soon(lambda: receiver.calls)
        for task in tuple(deliverer._sending):
            task.cancel()
        await dies
        receiver.hold.set()
        clock.forward(LEASE_S - 1)
        await deliverer.deliver()
        assert len(receiver.calls) == 1
        clock.forward(1)
        await deliverer.deliver()
    assert [call.id for call in receiver.calls] == [identifier] * 2
    assert (await _only(database, "j"))[0].state == "delivered"


async def test_a_server_that_is_killed_between_sending_and_recording_sends_again(
    clock: Clock, receiver: Receiver, tmp_path: Any
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    identifier = await put(database, receiver.url, clock.now, job="j")
    fake_bundle(tmp_path / "models")
    receiver.hold.clear()
    given: dict[str, Any] = {"WEBHOOKS__ALLOW_PRIVATE": "true", "WEBHOOKS__PORTS": receiver.port}
    with serving(tmp_path, "--model", "fake", **given) as server:
        await asyncio.to_thread(eventually, lambda: receiver.calls)
        os.kill(server.process.pid, signal.SIGKILL)
        await asyncio.to_thread(server.process.wait, 60)
    receiver.hold.set()
    assert (await _only(database, "j"))[0].state == "waiting"
    clock.forward(365 * 24 * 3600)  # its clock was the real one
    async with delivering(settings, clock, receiver.port) as deliverer:
        await deliverer.deliver()
    assert [call.id for call in receiver.calls] == [identifier] * 2
    assert receiver.calls[0].body == receiver.calls[1].body == BODY
    await database.close()


async def test_it_sends_in_the_background_and_ends_with_its_process(
    settings: Settings, database: Database, clock: Clock, receiver: Receiver
) -> None:
    async with delivering(settings, clock, receiver.port) as deliverer:
        deliverer.start()
        first = await put(database, receiver.url, clock.now)
        await soon(lambda: receiver.calls)
        second = await put(database, receiver.url, clock.now)
        await soon(lambda: len(receiver.calls) == 2)
    await put(database, receiver.url, clock.now)
    assert [call.id for call in receiver.calls] == [first, second]


async def test_a_database_that_is_away_is_waited_for_and_told_of_once_a_minute(
    clock: Clock,
    receiver: Receiver,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    monkeypatch.setattr(deliverer_module, "_AWAY_S", 0.01)
    monkeypatch.setattr(deliverer_module, "_LONGEST_AWAY_S", 0.02)
    monkeypatch.setattr(deliverer_module, "_LOOK_S", 0.01)
    really, away = Deliveries.claim, 0

    async def claim(*given: Any, **named: Any) -> Any:
        nonlocal away
        if not back.is_set():
            away += 1
            raise DatabaseError("the database d cannot be used: gone")
        return await really(*given, **named)

    back = asyncio.Event()
    monkeypatch.setattr(Deliveries, "claim", claim)
    await put(database, receiver.url, clock.now)
    async with delivering(settings, clock, receiver.port) as deliverer:
        with caplog.at_level(logging.WARNING):
            deliverer.start()
            await soon(lambda: away > 5)
        back.set()
        await soon(lambda: receiver.calls)
    assert caplog.text.count("callbacks wait: the database d cannot be used") == 1
    await database.close()


async def test_an_answer_is_recorded_though_the_database_is_away_for_a_moment(
    settings: Settings,
    database: Database,
    clock: Clock,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliverer_module, "_AWAY_S", 0.01)
    really, failures = Deliveries.record, itertools.repeat(DatabaseError("gone"), 3)

    async def record(*given: Any, **named: Any) -> bool:
        for failure in failures:
            raise failure
        return await really(*given, **named)

    monkeypatch.setattr(Deliveries, "record", record)
    await put(database, receiver.url, clock.now, job="j")
    async with delivering(settings, clock, receiver.port) as deliverer:
        await deliverer.deliver()
    assert len(receiver.calls) == 1
    assert (await _only(database, "j"))[0].state == "delivered"


async def test_a_secret_that_cannot_be_used_is_an_attempt_like_any_other(
    clock: Clock,
    receiver: Receiver,
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    monkeypatch.setattr("viewfinder.storage.secrets._make", lambda: "whsec_")
    await put(database, receiver.url, clock.now, job="j")
    async with delivering(settings, clock, receiver.port) as deliverer:
        await deliverer.deliver()
    delivery, (attempt,) = await _only(database, "j")
    assert (delivery.state, attempt.status) == ("waiting", None)
    assert attempt.error == "It could not be sent; the log of the server says why."
    assert "EmptyWebhookSecretError" in caplog.text
    assert receiver.calls == []
    await database.close()
