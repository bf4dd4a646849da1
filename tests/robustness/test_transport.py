"""Hostile HTTP, rows 1-12 of the list, and what else a connection can be made to bear.

Row 12, clients that leave while they wait, is in test_disconnects.py.
"""

import contextlib
import gzip
import http.client
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import pytest
from PIL import Image
from tests.robustness.conftest import BODY_S, STALL_S
from tests.robustness.wire import (
    CHUNKED,
    HOST,
    Answer,
    all_gone,
    check_unharmed,
    chunked,
    converse,
    flat_memory,
    get,
    has_connection,
    head,
    last,
    peers,
    post,
    read_one,
    read_reply,
)
from tests.support import (
    Server,
    encode,
    eventually,
    fake_bundle,
    grey,
    photo,
    serving,
    serving_here,
)

from viewfinder.settings import MIB, Limits, Settings

# JPEG, because what follows the image in its file is ignored.
JPEG = photo("cat.jpg")
TINY = encode(Image.new("L", (32, 32), 9), "JPEG")
HIDDEN = "hidden"
SECOND = get("/v1/models", f"X-Request-ID: {HIDDEN}")


@pytest.mark.parametrize("headers", [(), ("Content-Length: 0",)])
def test_01_an_empty_body_is_malformed(hostile: Server, headers: tuple[str, ...]) -> None:
    for kind in ("image/jpeg", "application/json"):
        reply = converse(hostile.address, head(f"Content-Type: {kind}", *headers), last())
        assert reply.codes == ["malformed_request", None]


def test_01_an_empty_chunked_body_is_malformed(hostile: Server) -> None:
    reply = converse(hostile.address, head(CHUNKED), chunked(), last())
    assert reply.codes == ["malformed_request", None]


@pytest.mark.parametrize("length", [10 * MIB + 1, 2**63, 2**64 - 1])
def test_02_an_announced_length_over_the_limit_is_refused_unread(
    hostile: Server, length: int
) -> None:
    # Nothing of the body is sent: who waits for it waits for ever.
    reply = converse(hostile.address, head(f"Content-Length: {length}"))
    assert reply.codes == ["payload_too_large"]
    assert reply.answers[0].headers["connection"] == "close"
    assert reply.closed


def test_03_a_chunked_body_is_refused_at_the_limit(hostile: Server) -> None:
    pieces = list(chunked(*repeat(bytes(65536), 161)))[:-1]  # and no last chunk
    with flat_memory(hostile):
        reply = converse(hostile.address, head(CHUNKED), pieces)
    assert reply.codes == ["payload_too_large"]
    assert reply.closed


def test_04_65_537_one_byte_chunks_are_a_body(hostile: Server) -> None:
    body = TINY + bytes(65537 - len(TINY))
    pieces = b"".join(chunked(*(body[place : place + 1] for place in range(len(body)))))
    with flat_memory(hostile):
        reply = converse(hostile.address, head(CHUNKED), pieces, last())
    assert reply.codes == [None, None]


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_05_a_short_body_and_a_half_close_end_the_request(hostile: Server, framing: str) -> None:
    body = b"64\r\n" + bytes(50) if "chunked" in framing else bytes(50)
    reply = converse(hostile.address, head(framing) + body, half_close=True)
    assert reply.codes in ([], ["malformed_request"])
    assert reply.closed


@pytest.mark.parametrize(
    "request_",
    [
        head("Content-Length: 1000") + bytes(50),
        head("Content-Length: 1000"),
        head(CHUNKED) + b"64\r\n" + bytes(50),
        head(CHUNKED) + b"1\r\n.\r\n6",
        head("Content-Type: application/json", "Content-Length: 9") + b"{",
        head("Content-Type: multipart/form-data; boundary=b", "Content-Length: 99") + b"--b\r\n",
        head("Content-Length: 9", "Expect: 100-continue"),
    ],
)
def test_06_a_body_that_stalls_is_given_up(hostile: Server, request_: bytes) -> None:
    reply = converse(hostile.address, request_)
    assert reply.codes == ["request_timeout"]
    assert reply.closed


def test_06_a_body_that_trickles_is_given_up_in_the_end(hostile: Server) -> None:
    with socket.create_connection(hostile.address, timeout=1) as connection:
        connection.sendall(head("Content-Length: 100000"))
        sent = _trickle(connection, repeat(b"."), most=10 * BODY_S)
        assert sent > BODY_S - STALL_S  # it was never silent for long
        assert read_reply(connection).codes == ["request_timeout"]


def _trickle(connection: socket.socket, pieces: Iterable[bytes], most: int) -> int:
    """Send a piece a second until the server says something; how many there were."""
    for count, piece in enumerate(pieces):
        with contextlib.suppress(TimeoutError):
            connection.sendall(piece)
            connection.recv(1, socket.MSG_PEEK)
            connection.settimeout(30)
            return count
        assert count < most, "nobody stops it"
    raise AssertionError("there was nothing more to send")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"G",),
        (b"GET /health HTTP/1.1\r\n" + HOST + b"X: ",),
        (b"\r\n",),
    ],
    ids=["method", "header", "blank lines"],
)
def test_07_headers_that_trickle_are_given_up(hostile: Server, pieces: tuple[bytes]) -> None:
    with socket.create_connection(hostile.address, timeout=0.2) as connection:
        connection.sendall(pieces[0])
        _trickle(connection, repeat(b"\r\n" if pieces[0] == b"\r\n" else b"E"), most=100)
        assert read_reply(connection).codes[-1] in {"request_timeout", "malformed_request"}


def test_07_a_connection_that_says_nothing_is_closed(hostile: Server) -> None:
    reply = converse(hostile.address)
    assert (reply.answers, reply.closed) == ([], True)


def test_07_who_was_answered_before_the_end_of_the_body_cannot_stay_for_ever(
    hostile: Server,
) -> None:
    request = post(bytes(200_000), "Content-Encoding: gzip")
    with _connected(hostile) as connection:
        connection.sendall(request[:100_000])
        assert read_one(connection).code == "unsupported_media_type"
        connection.sendall(request[100_000:])
        assert connection.recv(1) == b""


def test_07_a_head_that_trickles_costs_the_request_before_it_nothing(hostile: Server) -> None:
    reply = converse(hostile.address, post(grey(3)) + b"GET / HT")
    assert reply.codes == [None, "request_timeout"]


_FIRST_LINE = b"GET /health HTTP/1.1\r\n" + HOST
_BLOCK = bytes(65536).replace(b"\0", b"a")


def _many(count: int, size: int) -> Iterator[bytes]:
    value = b"v" * size
    return (b"X-%d: %b\r\n" % (number, value) for number in range(count))


HEADS: dict[str, tuple[bytes | Iterable[bytes], ...]] = {
    "64 MB of headers": (_FIRST_LINE, [b"".join(_many(64, 1024))] * 1000),
    "20,000 headers": (b"".join([_FIRST_LINE, *_many(20_000, 1), b"\r\n"]),),
    "101 headers": (b"".join([_FIRST_LINE, *_many(100, 1), b"\r\n"]),),
    "one header of 1 MB": (_FIRST_LINE + b"X: " + b"v" * MIB + b"\r\n\r\n",),
    "an endless header": (_FIRST_LINE + b"X: ", [_BLOCK] * 1000),
    "an endless name": (_FIRST_LINE, [_BLOCK] * 1000),
    "an address of 64 KB": (b"GET /" + _BLOCK + b" HTTP/1.1\r\n" + HOST + b"\r\n",),
    "an endless address": (b"GET /", [_BLOCK] * 1000),
    "endless blank lines": ([b"\r\n" * 32768] * 1000,),
}


@pytest.mark.parametrize("name", HEADS)
def test_08_headers_of_64_megabytes_are_refused(hostile: Server, name: str) -> None:
    with flat_memory(hostile):
        reply = converse(hostile.address, *HEADS[name])
    # Who goes on sending while the connection is closed may lose the answer.
    assert reply.codes in (["headers_too_large"], [])
    assert reply.closed


def test_08_as_many_headers_as_may_be_are_taken(hostile: Server) -> None:
    request = b"".join([_FIRST_LINE, *_many(99, 1), b"\r\n"])
    assert converse(hostile.address, request, last()).codes == [None, None]
    # The address and each header with its line end count; the words around the address do
    # as long as the head is not whole.
    rest = Limits().head_bytes - len("/health") - len("Host: localhost\r\n") - len("X: \r\n")
    for size, code in ((rest - len(_FIRST_LINE), None), (rest + 1, "headers_too_large")):
        request = _FIRST_LINE + b"X: " + b"v" * size + b"\r\n\r\n"
        assert converse(hostile.address, request, last()).codes[0] == code


TAILS: dict[str, list[bytes]] = {
    "an endless trailer": [b"0\r\nX: ", *[_BLOCK] * 1000],
    "endless trailers": [b"0\r\n", *[b"".join(_many(64, 1024))] * 1000],
    "an endless extension of a chunk": [b"5;", *[_BLOCK] * 1000],
    "endless zeros of a size": [bytes(65536).replace(b"\0", b"0")] * 1000,
}


@pytest.mark.parametrize("before", [0, 9 * MIB], ids=["no body", "9 MiB"])
@pytest.mark.parametrize("name", TAILS)
def test_08_what_surrounds_the_chunks_is_limited_too(
    hostile: Server, name: str, before: int
) -> None:
    first = [b"%x\r\n" % before, bytes(before), b"\r\n"] if before else []
    with flat_memory(hostile):
        reply = converse(hostile.address, head(CHUNKED), first, TAILS[name])
    assert reply.codes in (["headers_too_large"], ["malformed_request"], [])
    assert reply.closed


def test_08_a_trailer_is_no_header(hostile: Server) -> None:
    """What a guard has looked at cannot be changed after it."""
    trailer = b"0\r\nX-Request-ID: late\r\nContent-Encoding: gzip\r\n\r\n"
    request = head(CHUNKED) + b"%x\r\n%b\r\n" % (len(JPEG), JPEG) + trailer
    reply = converse(hostile.address, request, last())
    assert reply.codes == [None, None]
    assert reply.answers[0].request_id != "late"


# One request in the client's mind, with a second hidden in it; or none at all.
SMUGGLING: dict[str, bytes] = {
    "length, then chunked": head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked, then length": head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
    "chunked twice": head(*["Transfer-Encoding: chunked"] * 2) + b"0\r\n\r\n",
    "chunked, chunked": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked, identity": head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "identity": head("Transfer-Encoding: identity"),
    "xchunked": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "quoted": head('Transfer-Encoding: "chunked"') + b"0\r\n\r\n",
    "a vertical tab": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "a space before the colon": head("Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "a folded coding": head("Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n",
    "a folded length": head("Content-Length: 4\r\n 4"),
    "a folded header": get("/health", "X-A: a\r\n b"),
    "length -5": head("Content-Length: -5") + b"abcde",
    "length +5": head("Content-Length: +5") + b"abcde",
    "length 0x5": head("Content-Length: 0x5") + b"abcde",
    "length 5, 5": head("Content-Length: 5, 5") + b"abcde",
    "length 1_0": head("Content-Length: 1_0") + b"abcdeabcde",
    "no length": head("Content-Length: ") + b"abcde",
    "a length of 23 digits": head(f"Content-Length: {'9' * 23}") + b"abcde",
    "two lengths": head("Content-Length: 0", f"Content-Length: {len(SECOND)}"),
    "the same length twice": head(*["Content-Length: 5"] * 2) + b"abcde",
    "a length and a space": head("Content-Length : 5") + b"abcde",
    "no chunk size": head(CHUNKED) + b"zz\r\nabc\r\n0\r\n\r\n",
    "chunk size -1": head(CHUNKED) + b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk size 0x5": head(CHUNKED) + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk size of 17 digits": head(CHUNKED) + b"f" * 17 + b"\r\nabc\r\n",
    "a chunk size and a space": head(CHUNKED) + b"5 \r\nabcde\r\n0\r\n\r\n",
    "chunks with bare line feeds": head(CHUNKED) + b"5\nabcde\n0\n\n",
    "a chunk that is too long": head(CHUNKED) + b"5\r\nabcdeX\r\n0\r\n\r\n",
    "bare line feeds": get().replace(b"\r\n", b"\n"),
    "one bare line feed": get("/health", "X: a\nContent-Length: 5"),
    "a bare carriage return": get("/health", "X: a\rContent-Length: 5"),
    "NUL in a value": get("/health", "X: a\0b"),
    "NUL in a name": get("/health", "X\0: a"),
    "NUL in the address": get("/heal\0th"),
    "a header without a name": get("/health", ": a"),
    "a header without a colon": get("/health", "Cookie"),
    "a space before the first header": b"GET /health HTTP/1.1\r\n " + HOST + b"\r\n",
    "two hosts": get("/health", "Host: evil.example"),
    "a name for an address": head(path="http://localhost", method="GET"),
    "CONNECT": head(path="example.com:443", method="CONNECT"),
    "CONNECT with a body": head(f"Content-Length: {len(SECOND)}", path="/", method="CONNECT"),
    "a body under Upgrade": head("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 49"),
    "an unknown method": head(path="/health", method="BREW"),
    "a method in lower case": head(path="/health", method="get"),
    "HTTP/1.2": get().replace(b"/1.1", b"/1.2"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    "TLS": bytes.fromhex("16030100ef010000eb0303") + bytes(range(229)),
    "bytes that no address has": get("/h\u00e9alth"),
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "nothing but noise": bytes(range(256)),
}


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("name", SMUGGLING)
def test_09_what_could_be_read_in_two_ways_is_refused(
    hostile: Server, name: str, apart: bool
) -> None:
    request = SMUGGLING[name]
    with _connected(hostile) as connection:
        connection.sendall(request if apart else request + SECOND)
        answers = [read_one(connection)] if apart else []
        with contextlib.suppress(OSError):  # it may be closed already
            connection.sendall(SECOND + last() if apart else last())
        reply = read_reply(connection)
    assert [answer.code for answer in [*answers, *reply.answers]] == ["malformed_request"]
    assert reply.closed


# Odd, but with one meaning; the answer to each, and to the request that follows it.
ODD: dict[str, tuple[bytes, list[str | None]]] = {
    "a tab before chunked": (
        head("Transfer-Encoding:\tchunked") + b"0\r\n\r\n",
        ["malformed_request", None],  # an empty body
    ),
    "spaces around chunked": (
        head("Transfer-Encoding:   chunked  ") + b"0\r\n\r\n",
        ["malformed_request", None],
    ),
    "a whole URL": (get("http://localhost/health"), [None, None]),
    "a whole URL of another": (get("http://evil.example/health"), [None, None]),
    "the star": (head(path="*", method="OPTIONS"), ["not_found", None]),
    "chunked in HTTP/1.0": (
        head(CHUNKED).replace(b"/1.1", b"/1.0") + b"0\r\n\r\n",
        ["malformed_request"],
    ),
    # The parser takes what follows these for another protocol.
    "CONNECT to a path": (head(path="/health", method="CONNECT"), ["method_not_allowed"]),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", ["malformed_request"]),
    "an upgrade": (get("/health", "Connection: Upgrade", "Upgrade: x"), [None]),
    "HTTP/1.0": (get().replace(b"/1.1", b"/1.0"), [None]),
    "escaped bytes": (get("/h%ff%00alth"), ["not_found", None]),
    "dots": (get("/v1/../../etc/passwd"), ["not_found", None]),
}


@pytest.mark.parametrize("name", ODD)
def test_09_what_is_odd_but_clear_gets_one_answer(hostile: Server, name: str) -> None:
    request, expected = ODD[name]
    with _connected(hostile) as connection:
        connection.sendall(request)
        first = read_one(connection)
        with contextlib.suppress(OSError):
            connection.sendall(last())
        assert [first.code, *read_reply(connection).codes] == expected


def test_09_a_coding_that_is_not_taken_does_not_shift_the_framing(hostile: Server) -> None:
    packed = gzip.compress(JPEG)
    request = head("Transfer-Encoding: gzip, chunked") + b"".join(chunked(packed))
    assert converse(hostile.address, request, last()).codes == ["unsupported_media_type", None]


def test_10_a_client_that_asks_is_told_before_it_sends(hostile: Server) -> None:
    request = head("Content-Type: text/plain", "Content-Length: 9", "Expect: 100-continue")
    with socket.create_connection(hostile.address, timeout=30) as connection:
        connection.sendall(request)
        first = connection.recv(4, socket.MSG_PEEK | socket.MSG_WAITALL)
        assert first == b"HTTP"
        reply = read_reply(connection)
    assert reply.codes == ["unsupported_media_type"]
    assert reply.closed  # what it sent next could pass for the body


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (head("Expect: 100-continue", "Content-Length: 9", path="/nothing"), "not_found"),
        (head("Expect: 100-continue", "Content-Length: 9", method="PUT"), "method_not_allowed"),
        (
            head("Expect: 100-continue", "Content-Length: 9", path="/v1/classify?top_k=-1"),
            "invalid_parameter",
        ),
        (get("/health", "Expect: 100-continue", "Content-Length: 9"), None),
    ],
    ids=["404", "405", "422", "200"],
)
def test_10_whoever_is_not_told_to_go_on_cannot_go_on(
    hostile: Server, request_line: bytes, expected: str | None
) -> None:
    """The next request would be taken for the body that was announced."""
    reply = converse(hostile.address, request_line, last())
    assert reply.codes == [expected]
    assert reply.closed


@pytest.mark.parametrize("size", [10 * MIB + 1, 20 * MIB, 60 * MIB])
def test_02_whoever_sends_before_reading_reads_why(hostile: Server, size: int) -> None:
    connection = http.client.HTTPConnection(*hostile.address, timeout=30)
    with contextlib.closing(connection):
        connection.request(
            "POST", "/v1/classify", body=bytes(size), headers={"Content-Type": "image/jpeg"}
        )
        with connection.getresponse() as answer:
            assert answer.status == 413
            assert b"payload_too_large" in answer.read()


@pytest.mark.parametrize(
    "request_head",
    [
        head("Content-Type: text/plain", "Content-Length: 50000000000"),
        head("Content-Length: 50000000000", path="/nothing"),
        get("/health", "Content-Length: 50000000000"),
        get("/health", CHUNKED),
    ],
    ids=["type", "path", "health", "chunked"],
)
def test_what_follows_an_early_answer_is_not_read_for_ever(
    hostile: Server, request_head: bytes
) -> None:
    piece = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n" if CHUNKED.encode() in request_head else None
    sent = 0
    with _connected(hostile) as connection:
        connection.sendall(request_head)
        read_one(connection)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 300:
                connection.sendall(piece or bytes(MIB))
                sent += 1
    # 64 MiB, and what the buffers of two sockets hold.
    assert sent < 200


def test_whoever_drips_a_body_after_its_answer_makes_room(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, DEFAULT_MODEL="fake", LIMITS__CONNECTIONS=10) as server,
        ExitStack() as stack,
    ):
        for _ in range(30):
            connection = stack.enter_context(socket.create_connection(server.address, timeout=30))
            connection.sendall(get("/health", "Content-Length: 100000"))
            assert read_one(connection).status == 200


def test_a_length_of_thousands_of_digits_is_a_length(hostile: Server) -> None:
    photo = grey(3)
    zeros = "0" * 5000
    request = head(f"Content-Length: {zeros}{len(photo)}", "Content-Type: image/png") + photo
    assert converse(hostile.address, request, last()).codes == [None, None]
    request = head("Content-Length: 9" + "0" * 17)
    assert converse(hostile.address, request).codes == ["payload_too_large"]


def test_a_request_behind_an_upgrade_is_not_left_waiting(hostile: Server) -> None:
    reply = converse(hostile.address, get("/health", "Connection: Upgrade", "Upgrade: h2c") + get())
    assert reply.codes == [None]
    assert reply.closed


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP"])
def test_11_a_compressed_bomb_is_never_inflated(hostile: Server, coding: str) -> None:
    bomb = gzip.compress(bytes(256 * MIB), 1) if coding == "gzip" else b"bomb"
    with flat_memory(hostile):
        reply = converse(hostile.address, post(bomb, f"Content-Encoding: {coding}"), last())
    assert reply.codes == ["unsupported_media_type", None]


def test_garbage_after_a_good_request_costs_it_nothing(hostile: Server) -> None:
    for good in (get(), post(grey(4)), head("Content-Length: 0")):
        alone = converse(hostile.address, good, last()).codes[0]
        reply = converse(hostile.address, good + b"\0\1garbage\r\n\r\n" + SECOND)
        assert reply.codes == [alone]
        assert reply.closed


def test_a_bad_body_after_a_good_request_gets_its_own_answer(hostile: Server) -> None:
    bad = head(CHUNKED) + b"zz\r\n"
    reply = converse(hostile.address, post(grey(5)) + bad + SECOND)
    assert reply.codes == [None, "malformed_request"]
    assert reply.closed


def test_a_flood_of_requests_sent_ahead_is_not_kept(hostile: Server) -> None:
    flood = get() * 6000
    with flat_memory(hostile), ExitStack() as stack:
        floods = [stack.enter_context(_connected(hostile)) for _ in range(8)]
        for connection in floods:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(flood)
        for connection in floods:
            reply = read_reply(connection)
            assert reply.closed
            assert set(reply.codes) <= {None}


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=30)


def test_a_client_that_never_reads_is_cut(hostile: Server) -> None:
    name = "n" * 3900  # comes back with each answer, which makes them large
    part = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    form = (part.encode() + grey(6) + b"\r\n") * 64 + b"--b--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b"
    request = post(form, kind, path="/v1/batch-classify?top_k=16")
    assert len(converse(hostile.address, request, last()).answers[0].body) > 300_000
    with flat_memory(hostile, most=64 * MIB), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(hostile.address)
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):  # the server reads no more, or has closed
            for _ in range(400):
                connection.sendall(request)
        eventually(lambda: not has_connection(hostile, connection))


@pytest.mark.parametrize(
    "hostile_",
    [
        head("Content-Length: 1000") + bytes(50),
        head(CHUNKED) + b"zz\r\n",
        _FIRST_LINE + b"X: " + b"v" * MIB,
        post(grey(1)) + b"\0",
        b"G",
    ],
)
def test_whoever_is_refused_leaves_nothing_behind(store: Path, hostile_: bytes) -> None:
    fake_bundle(store)
    limits = Limits(head_s=0.5, stall_s=0.5)
    settings = Settings(
        model_store=store,
        default_model="fake",
        limits=limits,
        request_timeout_s=600,  # whatever is cut is cut because of its silence
    )
    with serving_here(settings) as server:
        assert converse(server.address, hostile_).closed
        eventually(lambda: server.requests == 0)
        eventually(lambda: not server._server.server_state.connections)
        assert converse(server.address, post(grey(2)), last()).codes == [None, None]


MOST_CONNECTIONS = 20


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    fake_bundle(home / "models")
    with serving(
        home,
        DEFAULT_MODEL="fake",
        LIMITS__CONNECTIONS=MOST_CONNECTIONS,
        LIMITS__BODIES_BYTES=4 * MIB,
    ) as server:
        yield server


@pytest.fixture
def small(narrow: Server) -> Iterator[Server]:
    """A server for few connections and few bodies, which must be as before at the end."""
    yield narrow
    all_gone(narrow)
    check_unharmed(narrow)


def test_connections_over_the_limit_are_told_so(small: Server) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(_connected(small)) for _ in range(MOST_CONNECTIONS)]
        for connection in busy:
            connection.sendall(b"GET /health HTTP/1.1\r\n")
        eventually(lambda: len(peers(small)) == MOST_CONNECTIONS)
        for _ in range(5):
            reply = converse(small.address)
            assert reply.codes == ["overloaded"]
            assert reply.answers[0].headers["retry-after"] == "1"
        for connection in busy:  # and none of them has suffered
            connection.sendall(HOST + b"\r\n")
            assert read_one(connection).status == 200


def test_those_that_connect_all_at_once_cannot_pass_the_limit(small: Server) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(_connected(small)) for _ in range(10 * MOST_CONNECTIONS)]
        refused = [read_reply(connection).codes for connection in many[MOST_CONNECTIONS:]]
        assert len(peers(small)) <= MOST_CONNECTIONS
        assert ["overloaded"] in refused


def test_idle_connections_make_room(small: Server) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(_connected(small)) for _ in range(MOST_CONNECTIONS)]
        for connection in idle:
            connection.sendall(get())
            assert read_one(connection).status == 200
        for _ in range(5):
            assert converse(small.address, post(grey(1)), last()).codes == [None, None]
        ended = [connection for connection in idle if not has_connection(small, connection)]
        assert ended
        for connection in ended:
            assert connection.recv(1) == b""  # quietly: nothing was asked there


def test_uploads_over_the_limit_of_all_together_are_refused_and_freed(small: Server) -> None:
    upload = JPEG + bytes(2 * MIB - len(JPEG))
    with ExitStack() as stack:
        uploads = [stack.enter_context(_connected(small)) for _ in range(4)]
        for connection in uploads:
            connection.sendall(post(upload)[:-1])
        # 8 MiB are on their way, and 4 may be held: two of them at least are refused.
        answers: list[Answer] = []
        while len(answers) < 2:
            answers += [read_one(one) for one in _speaking(uploads)]
        assert {answer.code for answer in answers} == {"overloaded"}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    whole = JPEG + bytes(4 * MIB - len(JPEG))
    assert converse(small.address, post(whole), last()).codes == [None, None]


def _speaking(uploads: list[socket.socket]) -> Iterator[socket.socket]:
    for connection in list(uploads):
        connection.setblocking(False)
        try:
            connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        finally:
            connection.settimeout(30)
        uploads.remove(connection)
        yield connection
