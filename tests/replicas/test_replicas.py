"""Several servers are as one: what one knows, all know, and when one goes, nothing goes with it."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import httpx2
import pytest
from tests.replicas.fleet import MODEL, VERSIONS, Fleet, lines_of, running_fleet
from tests.support import eventually, grey

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

PNG = {"Content-Type": "image/png"}
FIRST = {"model": f"{MODEL}@1"}
EVERYTHING = ("--scope", "classify", "--scope", "read", "--scope", "manage")
IMAGES = 24
_photos = itertools.count()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, postgres: "PostgresServer") -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), postgres) as running:
        yield running


@pytest.fixture(scope="module")
def key(fleet: Fleet) -> str:
    """One that all know, and that may do everything."""
    made = fleet.make_key("everything", *EVERYTHING)
    _everywhere(fleet.clients(made), lambda client: client.get("/v1/models").is_success)
    return made


def _new_photo() -> tuple[bytes, int]:
    """A photo that nobody has seen, and its brightness."""
    number = next(_photos)
    brightness = 16 * (number % 16) + 8
    return grey(brightness, size=(8 + number // 256, 8 + number % 256)), brightness


def _step(brightness: int, version: int = 1) -> str:
    return f"step-{brightness * VERSIONS[version] // 256}"


def _classify(client: httpx2.Client, photo: bytes, **parameters: str) -> httpx2.Response:
    return client.post("/v1/classify", content=photo, headers=PNG, params=parameters)


def _is_right(answer: httpx2.Response, brightness: int, version: int = 1) -> bool:
    said = answer.json()
    return bool(said["class"] == _step(brightness, version) and said["model"]["version"] == version)


def _everywhere(clients: list[httpx2.Client], is_true: Callable[[httpx2.Client], bool]) -> None:
    for client in clients:
        eventually(partial(is_true, client))


def test_a_key_counts_at_all_of_them_or_at_none(fleet: Fleet) -> None:
    new = fleet.make_key("new")
    clients = fleet.clients(new)
    _everywhere(clients, lambda client: client.get("/v1/models").status_code == 200)
    fleet.command("keys", "revoke", "new")
    _everywhere(clients, lambda client: client.get("/v1/models").status_code == 401)


def test_requests_of_a_key_are_counted_together(fleet: Fleet) -> None:
    clients = fleet.clients(fleet.make_key("limited", "--requests", "7"))
    # The key is not known everywhere at once; those who do not know it count nothing for it.
    statuses: list[int] = []
    eventually(lambda: _taken(clients, statuses) == 7)
    _everywhere(clients, lambda client: client.get("/v1/models").status_code != 401)
    for client in clients:
        refused = client.get("/v1/models")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert statuses.count(200) == 7


def _taken(clients: list[httpx2.Client], statuses: list[int]) -> int:
    statuses.extend(client.get("/v1/models").status_code for client in clients)
    return statuses.count(200)


def test_what_one_has_answered_the_others_know(fleet: Fleet, key: str) -> None:
    one, *others = fleet.clients(key)
    photo, brightness = _new_photo()
    before = set(fleet.redis.keys())
    first = _classify(one, photo, **FIRST)
    assert first.json()["cached"] is False
    assert _is_right(first, brightness)
    eventually(lambda: [key for key in {*fleet.redis.keys()} - before if "result" in key])
    # Each is asked once: a second time it would know by itself.
    answers = [_classify(other, photo, **FIRST) for other in others]
    assert [answer.json()["cached"] for answer in answers] == [True, True]
    assert all(_is_right(answer, brightness) for answer in answers)


def test_an_alias_and_a_split_of_the_traffic_are_seen_by_all(fleet: Fleet, key: str) -> None:
    gate, clients = fleet.client(key), fleet.clients(key)

    def answers_with(version: int, **parameters: str) -> Callable[[httpx2.Client], bool]:
        def is_so(client: httpx2.Client) -> bool:
            photo, brightness = _new_photo()
            answer = _classify(client, photo, **parameters)
            if not answer.is_success:
                return False
            said = answer.json()["model"]["version"]
            assert _is_right(answer, brightness, said)  # whoever answers, answers right
            return bool(said == version)

        return is_so

    for version in (1, 2):
        change = gate.put(f"/v1/models/{MODEL}/aliases/chosen", json={"version": version})
        assert change.is_success, change.text
        _everywhere(clients, answers_with(version, model=f"{MODEL}@chosen"))
    split = {"split": [{"version": 1, "percent": 100}]}
    _everywhere(clients, answers_with(2))
    assert gate.put(f"/v1/models/{MODEL}/traffic", json=split).is_success
    _everywhere(clients, answers_with(1))
    assert gate.delete(f"/v1/models/{MODEL}/traffic").is_success
    _everywhere(clients, answers_with(2))


def test_a_request_with_one_key_is_carried_out_once_by_all_together(fleet: Fleet, key: str) -> None:
    clients = fleet.clients(key)
    photo, brightness = _new_photo()
    headers = {**PNG, "Idempotency-Key": "one-for-all"}

    def ask(client: httpx2.Client) -> httpx2.Response:
        return client.post("/v1/classify", content=photo, headers=headers, params=FIRST)

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(ask, clients * 4))
    given = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    repeated = [ask(client) for client in clients]
    assert {answer.headers["Idempotency-Replayed"] for answer in repeated} == {"true"}
    assert len({answer.json()["id"] for answer in [*given, *repeated]}) == 1
    assert _is_right(repeated[0], brightness)
    other, _ = _new_photo()
    reused = clients[0].post("/v1/classify", content=other, headers=headers, params=FIRST)
    assert reused.json()["code"] == "idempotency_key_reused"


def test_a_job_sent_to_two_of_them_is_one_and_all_show_it(fleet: Fleet, key: str) -> None:
    clients = fleet.clients(key)
    sent = [_new_photo() for _ in range(IMAGES)]
    answers = [_submit(client, sent, "twice") for client in clients]
    assert {answer.status_code for answer in answers} == {202}
    (job,) = {answer.json()["id"] for answer in answers}
    for client in clients:
        _check_job(client, job, [brightness for _, brightness in sent])


def test_one_that_is_killed_and_one_that_is_replaced_lose_nothing(fleet: Fleet, key: str) -> None:
    gate = fleet.client(key)
    killed, replaced, *_ = fleet.servers
    jobs: dict[str, list[int]] = {}

    def submit(number: int) -> None:
        sent = [_new_photo() for _ in range(IMAGES)]
        answers: list[httpx2.Response] = []

        def is_taken() -> bool:
            answers.append(_submit(gate, sent, f"job-{number}"))
            # 503: whether it was taken in is not known, and so it is sent again with its key.
            assert answers[-1].status_code in {202, 503}, answers[-1].text
            return answers[-1].status_code == 202

        eventually(is_taken)
        jobs[answers[-1].json()["id"]] = [brightness for _, brightness in sent]

    with _Asking(fleet, key) as asking:
        asking.go_on(40)
        for number in range(3):
            submit(number)
        fleet.kill(killed)
        fleet.workers[0].kill()
        for number in range(3, 6):
            submit(number)
        asking.go_on(40)
        fleet.start_servers(2)
        fleet.show_gateway_all()
        stopping = fleet.servers.pop(replaced)
        fleet.show_gateway_all()
        assert stopping.stop() == 0
        for number in range(6, 9):
            submit(number)
        asking.go_on(40)
    assert asking.wrong == []
    assert Counter(asking.statuses).keys() == {200}
    assert len(jobs) == 9
    for client in (gate, *fleet.clients(key)):
        for job, brightnesses in jobs.items():
            _check_job(client, job, brightnesses)
    listed = [job["id"] for job in gate.get("/v1/jobs", params={"limit": 100}).json()["jobs"]]
    assert Counter(listed).most_common(1)[0][1] == 1
    assert jobs.keys() <= set(listed)


def _submit(
    client: httpx2.Client, sent: list[tuple[bytes, int]], idempotency_key: str
) -> httpx2.Response:
    files = [("files", (f"{n}.png", photo, "image/png")) for n, (photo, _) in enumerate(sent)]
    return client.post(
        "/v1/jobs", files=files, params=FIRST, headers={"Idempotency-Key": idempotency_key}
    )


def _check_job(client: httpx2.Client, job: str, brightnesses: list[int]) -> None:
    """It ends well, and every image has its own answer, once."""
    states: list[dict[str, Any]] = []

    def is_over() -> bool:
        states.append(client.get(f"/v1/jobs/{job}").json())
        return bool(states[-1]["counts"]["waiting"] == 0 and states[-1]["state"] != "running")

    eventually(is_over, within=60)
    total = len(brightnesses)
    assert states[-1]["state"] == "succeeded"
    counts = {"total": total, "succeeded": total, "failed": 0, "waiting": 0}
    assert states[-1]["counts"] == counts
    accept = {"Accept": "application/x-ndjson"}
    lines = lines_of(client.get(f"/v1/jobs/{job}/results", headers=accept).text)
    assert [line["index"] for line in lines] == [*range(total)]
    assert [line["result"]["class"] for line in lines] == [_step(one) for one in brightnesses]


class _Asking:
    """People who send photos through the gateway, and look at every answer."""

    def __init__(self, fleet: Fleet, key: str, people: int = 4) -> None:
        self.statuses: list[int] = []
        self.wrong: list[str] = []
        self._over = threading.Event()
        # A gateway that reloads lets go of connections that are idle, and then nobody knows whether
        # a request that is on its way on one of them was taken.
        limits = httpx2.Limits(max_keepalive_connections=0)
        clients = [fleet.client(key, limits=limits) for _ in range(people)]
        self._threads = [threading.Thread(target=self._ask, args=(one,)) for one in clients]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def go_on(self, requests: int) -> None:
        enough = len(self.statuses) + requests
        eventually(lambda: len(self.statuses) >= enough, within=60)

    def _ask(self, client: httpx2.Client) -> None:
        while not self._over.is_set():
            photo, brightness = _new_photo()
            try:
                answer = _classify(client, photo, **FIRST)
            except httpx2.TransportError as error:
                self.wrong.append(repr(error))
                continue
            self.statuses.append(answer.status_code)
            if answer.status_code != 200 or not _is_right(answer, brightness):
                self.wrong.append(answer.text)
            time.sleep(0.005)
