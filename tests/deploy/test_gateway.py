"""The gateway as one server has it behind itself: limits, what it says itself, what goes on."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest
from tests.deploy.gateway import PROGRAM, SHIPPED, Gateway, gateway
from tests.deploy.http2 import early_answer
from tests.deploy.replicas import Replica, replica
from tests.support import Server, eventually, fake_bundle, grey, read_answer, request_of, serving

from viewfinder.api.errors import CATALOG
from viewfinder.settings import Settings

PHOTO = grey(0)
PNG = {"Content-Type": "image/png"}
KIB, MIB = 1024, 1024 * 1024
NOWHERE = "/v1/nothing?secret=word"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that believes the gateway, and counts what each caller asks."""
    home = tmp_path_factory.mktemp("home")
    fake_bundle(home / "models")
    options = {"DEFAULT_MODEL": "fake", "TRUSTED_PROXIES": "127.0.0.1/32"}
    with serving(
        home, **options, RATE_LIMIT__ENABLED="true", RATE_LIMIT__REQUESTS=100_000
    ) as running:
        yield running


@pytest.fixture(scope="module")
def before(server: Server) -> Iterator[Gateway]:
    """A gateway before that server."""
    with gateway([server.address]) as running:
        yield running


@pytest.fixture
def by_hand() -> Iterator[Replica]:
    """In place of a server."""
    with replica() as one:
        yield one


@pytest.fixture
def before_it(by_hand: Replica) -> Iterator[Gateway]:
    """A gateway before that."""
    with gateway([by_hand.address]) as running:
        yield running


def _check_problem(answer: httpx2.Response, code: str) -> None:
    status, title = CATALOG[code]
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "application/problem+json",
    )
    told = {name: problem[name] for name in ("type", "title", "status", "code", "request_id")}
    assert told == {
        "type": f"urn:viewfinder:error:{code}",
        "title": title,
        "status": status,
        "code": code,
        "request_id": answer.headers["X-Request-ID"],
    }
    assert problem["detail"] == problem["error"]


def test_nginx_has_nothing_against_the_configuration(before: Gateway) -> None:
    command = [PROGRAM, "-t", "-e", "stderr", "-p", str(before.folder)]
    said = subprocess.run(
        [*command, "-c", str(before.folder / "nginx.conf")], capture_output=True, check=True
    ).stderr.decode()
    # Of the new way to say `http2`, Debian's nginx knows nothing.
    warned = [line for line in said.splitlines() if "[" in line and "http2" not in line]
    assert warned == []


def test_what_it_says_itself_is_in_the_catalogue_of_the_service() -> None:
    text = (SHIPPED / "conf.d" / "problems.conf").read_text()
    said = re.findall(r"return (\d+) '(\{.*\})';", text)
    assert len(said) == 10
    for status, body in said:
        problem = json.loads(body)
        given = (problem["status"], problem["title"])
        assert given == CATALOG[problem["code"]]
        assert problem["type"] == f"urn:viewfinder:error:{problem['code']}"
        assert int(status) == problem["status"]
        assert problem.keys() == {
            *("type", "title", "status", "detail", "code", "error", "request_id")
        }


def test_bodies_have_the_limits_of_the_service() -> None:
    settings = Settings()
    limits = settings.limits
    text = (SHIPPED / "nginx.conf").read_text()
    units = {"k": KIB, "m": MIB}
    locations = re.findall(r"location (?:[=~] )?(\S+) \{\s+client_max_body_size (\d+)(k|m);", text)
    given = {path: int(number) * units[unit] for path, number, unit in locations}
    assert given == {
        "^(/v1)?/classify$": limits.body_bytes,
        "^(/v1)?/batch-classify$": limits.batch_bytes,
        "/v1/jobs": settings.jobs.upload_bytes,
    }
    for name, seconds in {
        "client_header_timeout": limits.head_s,
        "client_body_timeout": limits.stall_s,
        "send_timeout": limits.stall_s,
    }.items():
        assert f" {name} {seconds:.0f}s;" in text


@pytest.mark.parametrize("http2", [False, True])
def test_a_photo_is_answered(before: Gateway, *, http2: bool) -> None:
    with before.client(http2=http2) as client:
        answer = client.post("/v1/classify", content=PHOTO, headers=PNG)
    assert answer.json()["class"] == "step-0"
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "max-age" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", ["/v1/classify", "/classify", "/v1/batch-classify", "/v1/models"])
@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_a_body_past_its_limit_is_refused_before_it_is_sent(
    before: Gateway, path: str, protocol: str
) -> None:
    limits = Settings().limits
    limit = {
        "/v1/batch-classify": limits.batch_bytes,
        "/v1/models": 64 * KIB,
    }.get(path, limits.body_bytes)
    with before.connection(protocol=protocol) as connection:
        if protocol == "h2":
            status, problem = early_answer(connection, path, bytes(limit + 1), "image/png")
        else:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {limit + 1}\r\n\r\n"
            connection.sendall(head.encode())
            answer = read_answer(connection)
            status, problem = answer.status, json.loads(answer.body)
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert (status, problem["code"]) == (413, "payload_too_large")
    assert before.line_of(problem["request_id"])["replica"] == ""


def test_a_body_at_its_limit_goes_on(before: Gateway) -> None:
    limits = Settings().limits
    with before.client() as client:
        raw = client.post("/v1/classify", content=bytes(limits.image_bytes), headers=PNG)
        form = client.post("/v1/classify", content=bytes(limits.image_bytes + 1), headers=PNG)
    assert raw.json()["code"] == "unsupported_media_type"
    # That of a form, which the service tells apart.
    assert (form.status_code, form.json()["code"]) == (413, "payload_too_large")
    assert before.line_of(form.json()["request_id"])["replica"] != ""


def test_who_sends_without_a_length_is_stopped_at_the_limit(before: Gateway) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(16):
            yield bytes(MIB)

    with before.client() as client:
        answer = client.post("/v1/classify", content=body(), headers=PNG)
    _check_problem(answer, "payload_too_large")


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6detrics", "//metrics", "/v1/../metrics", "/docs", "/openapi.json"]
)
def test_what_is_not_for_strangers_is_not_there(before: Gateway, path: str) -> None:
    with before.connection() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = read_answer(connection)
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (404, "not_found")
    assert before.line_of(problem["request_id"])["replica"] == ""


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("GET / HTTP/1.1\r\n\r\n", "malformed_request"),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "method_not_allowed"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + 9000 * "x" + "\r\n\r\n", "headers_too_large"),
        ("GET /" + 9000 * "x" + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "headers_too_large"),
    ],
)
def test_what_is_no_request_for_it_gets_a_problem(
    before: Gateway, request_text: str, code: str
) -> None:
    with before.connection() as connection:
        connection.sendall(request_text.encode())
        answer = read_answer(connection)
    assert (answer.status, json.loads(answer.body)["code"]) == (CATALOG[code][0], code)


def test_one_address_may_ask_only_so_much(server: Server) -> None:
    limits = {"rate=100r/s": "rate=1r/m", "burst=200": "burst=5"}
    with gateway([server.address], limits=limits) as limited:
        for source in ("127.0.0.2", "127.0.0.3"):
            with limited.connection(source) as connection:
                answers = []
                for _ in range(8):
                    connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answers.append(read_answer(connection))
                assert Counter(answer.status for answer in answers) == {200: 6, 429: 2}
                refused = answers[-1]
                assert json.loads(refused.body)["code"] == "rate_limited"
                assert refused.headers["Retry-After"] == "1"
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_answer(connection).status == 200


def test_all_addresses_of_an_ipv6_network_are_one_caller(server: Server) -> None:
    limits = {"rate=100r/s": "rate=1r/m", "burst=200": "burst=1"}
    trusting = "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Forwarded-For;\n"
    with (
        gateway(
            [server.address],
            limits=limits,
            files={"clients.conf": trusting},
        ) as limited,
        limited.client() as client,
    ):
        statuses = [
            client.get("/v1/models", headers={"X-Forwarded-For": address}).status_code
            for address in ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3")
        ]
        assert statuses == [200, 200, 429]
        other = client.get("/v1/models", headers={"X-Forwarded-For": "2001:db8:0:2::1"})
        assert other.status_code == 200


def test_so_many_photos_are_taken_at_a_time(by_hand: Replica) -> None:
    limits = {"limit_conn photos 256": "limit_conn photos 1"}
    with (
        gateway([by_hand.address], limits=limits) as limited,
        limited.connection() as first,
        limited.client() as client,
    ):
        first.sendall(request_of(PHOTO))
        with by_hand.asked() as asked:
            refused = client.post("/v1/classify", content=PHOTO, headers=PNG)
            _check_problem(refused, "overloaded")
            assert refused.headers["Retry-After"] == "1"
            asked.answer()
            assert read_answer(first).status == 200


def test_the_service_counts_each_client_for_itself(before: Gateway) -> None:
    """Whatever a client says of its own address."""
    left: list[int] = []
    for source in ("127.0.0.4", "127.0.0.4", "127.0.0.5", "127.0.0.5"):
        with before.connection(source) as connection:
            connection.sendall(
                b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
                b"X-Forwarded-For: 198.51.100.%d\r\nX-Real-IP: 198.51.100.9\r\n\r\n" % len(left)
            )
            answer = read_answer(connection)
            found = re.search(r"r=(\d+)", answer.headers["RateLimit"])
            assert found is not None
            left.append(int(found[1]))
    assert left == [99_999, 99_998, 99_999, 99_998]


def test_what_is_said_of_a_client_is_the_gateways_word(
    before_it: Gateway, by_hand: Replica
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    claims = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "elsewhere",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
        "traceparent": trace,
        "X-Request-ID": "mine.1",
        "Authorization": "Bearer key",
        "Idempotency-Key": "once",
    }
    lines = [f"{name}: {value}" for name, value in claims.items()]
    with before_it.connection() as connection:
        connection.sendall(request_of(PHOTO, *lines))
        with by_hand.asked() as asked:
            asked.take(len(PHOTO))
            told = {name: asked.headers.get_all(name) for name in claims}
            asked.answer()
            assert asked.body == PHOTO
            assert asked.headers["Host"] == "localhost"
        assert read_answer(connection).headers["X-Request-ID"] == "mine.1"
    assert told == {
        "X-Forwarded-For": ["127.0.0.1"],
        "X-Forwarded-Proto": ["https"],
        "X-Forwarded-Host": None,
        "X-Real-IP": None,
        "Forwarded": None,
        "traceparent": [trace],
        "X-Request-ID": ["mine.1"],
        "Authorization": ["Bearer key"],
        "Idempotency-Key": ["once"],
    }


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [("abc-1.2:3_4", True), (128 * "a", True), (129 * "a", False), ("a b", False), ('"', False)],
)
def test_an_id_that_is_none_is_replaced(before: Gateway, given: str, *, is_kept: bool) -> None:
    with before.client() as client:
        # One answer is the service's, the other the gateway's.
        for path in (NOWHERE, "/metrics"):
            answer = client.get(path, headers={"X-Request-ID": given})
            told = answer.headers.get_list("X-Request-ID")
            assert len(told) == 1
            assert (told == [given]) == is_kept
            assert re.fullmatch("[A-Za-z0-9._:-]{1,128}", told[0])
            assert answer.json()["request_id"] == told[0]
            if not is_kept:
                assert before.line_of(told[0])["status"] == 404


def test_a_line_of_the_log_has_no_query_and_no_address(before: Gateway) -> None:
    with before.client() as client:
        client.post(NOWHERE, headers={"X-Request-ID": "this-one", "Authorization": "Bearer word"})
    line = before.line_of("this-one")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/nothing", 404)
    assert line["replica_status"] == "404"
    written = (before.folder / "access.log").read_text() + before.errors
    assert "word" not in written
    assert not re.search(r"127\.0\.0\.1(?!:)", written)


def test_plain_http_is_sent_to_https_and_health_is_told(before: Gateway) -> None:
    with httpx2.Client(base_url=f"http://localhost:{before.http}", trust_env=False) as client:
        elsewhere = client.post("/v1/classify?top_k=1", content=PHOTO, headers=PNG)
        assert elsewhere.status_code == 308
        assert elsewhere.headers["Location"] == "https://localhost/v1/classify?top_k=1"
        assert client.get("/health/ready").json()["status"] == "ready"
        assert client.get("/gateway/live").text == "ok\n"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_old_versions_of_tls_are_not_spoken(before: Gateway, version: ssl.TLSVersion) -> None:
    tls = before.tls
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version, tls.maximum_version = ssl.TLSVersion.TLSv1, version
    with socket.create_connection(before.address, 30) as plain:
        if version == ssl.TLSVersion.TLSv1_2:
            with tls.wrap_socket(plain, server_hostname="localhost") as secure:
                assert secure.version() == "TLSv1.2"
        else:
            with pytest.raises(ssl.SSLError):
                tls.wrap_socket(plain, server_hostname="localhost")


def test_an_upload_of_a_job_goes_on_while_it_comes(before_it: Gateway, by_hand: Replica) -> None:
    half = bytes(20 * MIB)
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
        f"Content-Length: {2 * len(half)}\r\n\r\n"
    )
    with before_it.connection() as connection:
        first_is_there = threading.Event()

        def send() -> None:
            connection.sendall(head.encode() + half)
            assert first_is_there.wait(30)
            connection.sendall(half)

        sending = threading.Thread(target=send)
        sending.start()
        with by_hand.asked() as asked:
            # The second half is not even sent.
            asked.take(len(half))
            assert before_it.temporary == []
            first_is_there.set()
            asked.take(2 * len(half))
            asked.answer()
        sending.join(30)
        assert read_answer(connection).status == 200


def test_a_large_job_is_taken_and_its_results_come(before: Gateway) -> None:
    photos = [("files", (f"{number}.png", grey(number * 16), "image/png")) for number in range(16)]
    padded = [("files", ("large.png", bytes(9 * MIB), "image/png")) for _ in range(3)]
    with before.client() as client:
        made = client.post("/v1/jobs", files=photos + padded)
        assert made.status_code == 202, made.text
        where = made.headers["Location"]
        eventually(lambda: client.get(where).json()["state"] == "succeeded")
        lines = client.get(f"{where}/results", headers={"Accept": "application/x-ndjson"}).text
    results = [json.loads(line) for line in lines.splitlines()]
    assert [one["result"]["class"] for one in results[:16]] == [f"step-{n}" for n in range(16)]
    assert ["error" in one for one in results[16:]] == [True, True, True]


def test_an_upload_that_is_refused_early_is_told_why(before: Gateway) -> None:
    """From the head, while the client still sends."""
    with before.client() as client:
        answer = client.post(
            "/v1/jobs?model=none", content=bytes(30 * MIB), headers={"Content-Type": "text/plain"}
        )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_an_answer_that_comes_in_parts_goes_on_in_parts(
    before_it: Gateway, by_hand: Replica
) -> None:
    with before_it.connection() as connection:
        connection.sendall(b"GET /v1/jobs/1/results HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with by_hand.asked() as asked:
            asked.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            received = b""
            for part in (b"first", b"second", b"third"):
                asked.say(b"%x\r\n%b\r\n" % (len(part), part))
                # Nothing more is said before this has arrived.
                while part not in received:
                    received += connection.recv(65536)
            asked.say(b"0\r\n\r\n")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("http2", [False, True])
def test_a_photo_is_on_no_disk(
    before_it: Gateway, by_hand: Replica, *, announced: bool, http2: bool
) -> None:
    photo = bytes(range(256)) * (14 * MIB // 256)

    def parts() -> Iterator[bytes]:
        for start in range(0, len(photo), 32 * KIB):
            yield photo[start : start + 32 * KIB]

    answers = []

    def ask() -> None:
        with before_it.client(http2=http2) as client:
            body = photo if announced else parts()
            answers.append(client.post("/v1/classify", content=body, headers=PNG))

    asking = threading.Thread(target=ask)
    asking.start()
    with by_hand.asked() as asked:
        asked.take(len(photo))
        assert before_it.temporary == []
        assert asked.body == photo
        asked.answer()
    asking.join(30)
    assert answers[0].status_code == 200
