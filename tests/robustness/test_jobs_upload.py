"""Uploads of jobs that mean no good, or meet with an accident: nothing of them is kept.

TESTS_FULL=1 streams 200 MB in place of 64.
"""

import contextlib
import io
import json
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.jobs.zips import quoting, zipped
from tests.robustness.test_multipart import KIND, NAMES, form, part
from tests.robustness.wire import (
    CHUNKED,
    Reply,
    chunked,
    converse,
    flat_memory,
    head,
    last,
    post,
    read_one,
)
from tests.support import (
    LocalServer,
    Server,
    asking,
    eventually,
    fake_bundle,
    grey,
    in_full,
    serving_here,
)

from viewfinder.settings import (
    MIB,
    BlobSettings,
    DatabaseSettings,
    FetchSettings,
    JobSettings,
    Limits,
    Settings,
)

JOBS = "/v1/jobs"
PHOTO = grey(7)
IMAGE_BYTES, UPLOAD_BYTES, IMAGES = MIB, 8 * MIB, 10_000
BODY_S, STALL_S = 1.0, 15.0
_PIECE = 64 * 1024


def image(content: bytes = PHOTO, *headers: str, filename: str = "x") -> bytes:
    """A part with an image of a job."""
    return part(content, *headers, name="files", filename=filename)


def archive(content: bytes) -> bytes:
    """A part with a zip."""
    return part(content, name="archive", filename="x.zip")


@contextlib.contextmanager
def taking(home: Path, **given: Any) -> Iterator[LocalServer]:
    """A server that takes jobs and works on none."""
    fake_bundle(home / "models")
    jobs = JobSettings(run=False, upload_bytes=UPLOAD_BYTES, images=IMAGES)
    options = {"jobs": jobs, "limits": Limits(image_bytes=IMAGE_BYTES), **given}
    with serving_here(Settings(home=home, default_model="fake", threads=1, **options)) as server:
        yield server


@pytest.fixture(scope="module")
def taker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with taking(
        tmp_path_factory.mktemp("taker"),
        fetch=FetchSettings(enabled=True),
        request_timeout_s=BODY_S,
        limits=Limits(image_bytes=IMAGE_BYTES, stall_s=STALL_S),
    ) as server:
        converse(server.address, post(form(image()), KIND, path=JOBS))  # what is slow comes once
        yield server


def kept(server: LocalServer) -> set[Path]:
    """Everything that lies in the home of a server, but for its database."""
    home = server.services.settings.home
    return {path for path in home.rglob("*") if not path.name.startswith("viewfinder.db")}


@pytest.fixture
def careful(taker: LocalServer) -> Iterator[LocalServer]:
    """The server, which must have nothing more at the end than before."""
    before = kept(taker)
    yield taker
    eventually(lambda: taker.requests == 0)
    assert kept(taker) == before


def ask(server: LocalServer, body: bytes, kind: str = KIND, *, path: str = JOBS) -> Reply:
    """Post a body, and ask something else on the same connection."""
    return converse(server.address, post(body, kind, path=path), last())


# -- forms


@pytest.mark.parametrize(
    "boundary",
    ["", "; boundary=", "; boundary=other", "; boundary=\u00e9", f"; boundary={'b' * 71}"],
)
def test_13_a_form_without_its_boundary_is_malformed(careful: LocalServer, boundary: str) -> None:
    kind = f"Content-Type: multipart/form-data{boundary}"
    assert ask(careful, form(image()), kind).codes == ["malformed_request", None]


@pytest.mark.parametrize("end", [b"", b"--", b"--b", b"--b-", b"--b\r\n", b"--b\r\nContent-Dis"])
@pytest.mark.parametrize("first", [image(), archive(zipped({"x": PHOTO}))], ids=["file", "zip"])
def test_14_a_form_without_its_last_boundary_is_malformed(
    careful: LocalServer, first: bytes, end: bytes
) -> None:
    assert ask(careful, first + end).codes == ["malformed_request", None]


@pytest.mark.parametrize(
    "bad",
    [
        image(PHOTO, f"X: {'v' * 10_000}"),
        image(PHOTO, *[f"X-{number}: v" for number in range(8)]),
        part(b"1", name="top_k", filename=None) * 101,
        part(b"", name="other") * 101,
        part(b"1" * 65_537, name="top_k", filename=None),
        part(PHOTO, name="files", filename=None),
        part(PHOTO, name="archive", filename=None),
        b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n",
        b"--b\r\n\r\n\r\n",
        b"--b\r\nX\r\n\r\n\r\n",
        archive(zipped({"x": PHOTO})) + archive(zipped({"x": PHOTO})),
    ],
    ids=[
        "10 KB of header",
        "9 headers",
        "fields",
        "other files",
        "a long field",
        "no file",
        "no zip",
        "no name",
        "no headers",
        "no colon",
        "two zips",
    ],
)
def test_15_to_17_a_form_that_is_a_trap_is_malformed(careful: LocalServer, bad: bytes) -> None:
    assert ask(careful, form(image(), bad)).codes == ["malformed_request", None]


@pytest.mark.parametrize("name", NAMES)
def test_18_the_name_of_a_file_is_kept_and_never_used(taker: LocalServer, name: str) -> None:
    home = taker.services.settings.home
    (answer, _) = ask(taker, form(image(filename=name))).answers
    if answer.code is None:
        job = home / "blobs" / "jobs" / json.loads(answer.body)["id"]
        assert [path.name for path in job.iterdir()] == ["0"]
    assert not [path for path in home.rglob("*") if "x.jpg" in path.name]


@pytest.mark.parametrize("filling", [b"\0", b"\r\n", b"\r\n--c\r\n", b"--b"])
def test_19_a_huge_preamble_is_refused(careful: LocalServer, filling: bytes) -> None:
    piece = (filling * _PIECE)[:_PIECE]
    pieces = chunked(*[piece] * (UPLOAD_BYTES // _PIECE + 1))
    reply = converse(careful.address, head(KIND, CHUNKED, path=JOBS), pieces, last())
    assert reply.codes in (["payload_too_large"], ["malformed_request", None])


def test_19_a_boundary_that_is_nearly_met_everywhere_spoils_nothing(taker: LocalServer) -> None:
    almost = b"\r\n--" + b"b" * 69
    content = (almost * (IMAGE_BYTES // len(almost))) + b"!"
    body = form(image(content)).replace(b"--b\r\n", b"--" + b"b" * 70 + b"\r\n")
    body = body.replace(b"--b--\r\n", b"--" + b"b" * 70 + b"--\r\n")
    (answer, _) = ask(
        taker, body, f"Content-Type: multipart/form-data; boundary={'b' * 70}"
    ).answers
    job = taker.services.settings.home / "blobs" / "jobs" / json.loads(answer.body)["id"]
    assert (job / "0").read_bytes() == content


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "image/png", "text/plain"])
def test_20_what_is_neither_a_form_nor_json_is_unsupported(careful: LocalServer, kind: str) -> None:
    reply = ask(careful, PHOTO, f"Content-Type: {kind}")
    assert reply.codes == ["unsupported_media_type", None]


def test_in_whatever_pieces_a_form_comes_it_is_the_same(taker: LocalServer) -> None:
    body = form(part(b"3", name="top_k", filename=None), image(b"\r\n--b\r" * 9), image(b""))
    pieces = chunked(*[body[place : place + 1] for place in range(len(body))])
    reply = converse(taker.address, head(KIND, CHUNKED, path=JOBS), pieces, last())
    job = taker.services.settings.home / "blobs" / "jobs" / json.loads(reply.answers[0].body)["id"]
    assert [(job / name).read_bytes() for name in "01"] == [b"\r\n--b\r" * 9, b""]


# -- sizes


def test_an_upload_over_the_limit_is_refused_unread(careful: LocalServer) -> None:
    reply = converse(careful.address, head(KIND, f"Content-Length: {UPLOAD_BYTES + 1}", path=JOBS))
    assert reply.codes == ["payload_too_large"]
    assert reply.closed


@pytest.mark.parametrize("whole", [image, archive], ids=["files", "zip"])
def test_an_upload_of_unknown_length_is_refused_at_the_limit(
    careful: LocalServer, whole: Callable[[bytes], bytes]
) -> None:
    start = whole(b"")[:-2]
    pieces = chunked(start, *[bytes(_PIECE)] * (UPLOAD_BYTES // _PIECE))
    reply = converse(careful.address, head(KIND, CHUNKED, path=JOBS), pieces)
    assert reply.codes == ["payload_too_large"]


def test_as_many_images_as_the_limit_are_taken_and_one_more_is_not(taker: LocalServer) -> None:
    url = "https://example.com/a,b"
    for count, code in ((IMAGES, None), (IMAGES + 1, "invalid_parameter")):
        body = json.dumps({"urls": [url] * count}).encode()
        assert ask(taker, body, "Content-Type: application/json").codes == [code, None]


def test_1200_files_are_taken(taker: LocalServer) -> None:
    (answer, _) = ask(taker, form(image(b"x") * 1200)).answers
    job = taker.services.settings.home / "blobs" / "jobs" / json.loads(answer.body)["id"]
    assert len([*job.iterdir()]) == 1200


@pytest.mark.parametrize("way", ["files", "zip"])
def test_memory_is_flat_while_an_upload_is_streamed(target: Server, way: str) -> None:
    photos, size = in_full(64, 200), MIB
    kind = "Content-Type: multipart/form-data; boundary=b"
    first = post(form(image()), kind, path=f"{JOBS}?model=fake")
    assert converse(target.address, first, last()).codes == [None, None]  # what comes once
    if way == "files":
        body = [image(bytes(size)) for _ in range(photos)]
    else:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as stored:
            for number in range(photos):
                stored.writestr(str(number), bytes(size))
        body = [archive(file.getvalue())]
    with flat_memory(target):
        reply = converse(
            target.address,
            head(kind, CHUNKED, path=f"{JOBS}?model=fake"),
            chunked(*_cut(body), b"--b--\r\n"),
            last(),
        )
    assert reply.codes == [None, None]
    assert json.loads(reply.answers[0].body)["counts"]["total"] == photos


def _cut(parts: list[bytes]) -> Iterator[bytes]:
    return (
        whole[place : place + _PIECE] for whole in parts for place in range(0, len(whole), _PIECE)
    )


def test_an_upload_counts_for_what_it_holds_and_not_for_its_size(tmp_path: Path) -> None:
    limits = Limits(image_bytes=100_000, bodies_bytes=300_000)
    with taking(tmp_path, limits=limits) as server:
        body = form(image(bytes(90_000)) * 20)
        assert ask(server, body).codes == [None, None]
        with asking(server, head(KIND, f"Content-Length: {len(body)}", path=JOBS)):
            eventually(lambda: server.requests == 1)
            assert ask(server, body).codes == ["overloaded", None]
        eventually(lambda: server.requests == 0)
        assert ask(server, body).codes == [None, None]


# -- archives


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no zip", "malformed_request"),
        (zipped({"good": PHOTO, "../../x.jpg": PHOTO}), "malformed_request"),
        (zipped({"/x.jpg": PHOTO}), "malformed_request"),
        (zipped({"x": PHOTO})[:-1], "malformed_request"),
        (quoting(100, bytes(MIB)), "payload_too_large"),
        (zipped({"x": bytes(UPLOAD_BYTES + 1)}), "payload_too_large"),
        (zipped({}), "invalid_parameter"),
    ],
    ids=["no zip", "up", "root", "cut", "quotations", "bomb", "empty"],
)
def test_an_archive_that_is_a_trap_is_refused_as_a_whole(
    careful: LocalServer, content: bytes, code: str
) -> None:
    assert ask(careful, form(archive(content))).codes[0] == code


# -- accidents


def test_who_hangs_up_leaves_nothing(careful: LocalServer) -> None:
    blobs = careful.services.settings.home / "blobs" / "jobs"
    before = {*blobs.iterdir()}
    request = head(KIND, "Content-Length: 100000", path=JOBS) + image() + image()
    with asking(careful, request):
        eventually(lambda: {*blobs.iterdir()} - before)


@pytest.mark.parametrize("way", ["files", "zip"])
def test_where_there_is_no_room_the_caller_is_told_and_nothing_is_kept(
    careful: LocalServer, way: str
) -> None:
    images = {"small": PHOTO, "large": bytes(900_000), "after": PHOTO}
    if way == "files":
        body = form(*[image(content) for content in images.values()])
    else:
        body = form(archive(zipped(images, compression=zipfile.ZIP_STORED)))
    with largest_file(500_000):
        (answer, _) = ask(careful, body).answers
    assert answer.code == "overloaded"
    assert int(answer.headers["retry-after"]) >= 1


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Every longer file of this process fails while it is written, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_blobs_cannot_be_the_caller_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with taking(tmp_path, blobs=BlobSettings(url=str(tmp_path / "file" / "blobs"))) as server:
        for body in (form(image()), form(archive(zipped({"x": PHOTO})))):
            assert ask(server, body).codes == ["overloaded", None]


def announced(path: str = JOBS) -> bytes:
    """The head of an upload that never comes."""
    return head(KIND, f"Content-Length: {UPLOAD_BYTES}", path=path)


def test_while_the_database_is_away_no_upload_is_read(tmp_path: Path) -> None:
    away = DatabaseSettings(url="sqlite:////dev/null/nothing.db")
    with taking(tmp_path, database=away) as server:
        with asking(server, announced()) as connection:
            assert read_one(connection).code == "not_ready"
        assert not (tmp_path / "blobs").exists()


def test_a_model_that_is_not_there_is_missed_before_an_upload_is_read(
    careful: LocalServer,
) -> None:
    with asking(careful, announced(f"{JOBS}?model=nobody")) as connection:
        assert read_one(connection).code == "model_not_found"


# -- patience


def test_an_upload_may_take_its_time_as_long_as_it_comes(careful: LocalServer) -> None:
    content = bytes(IMAGE_BYTES)
    rest = form(image(content))
    upload = head(KIND, f"Content-Length: {len(rest) + 1}", path=JOBS) + rest
    with contextlib.ExitStack() as held:
        slow = held.enter_context(asking(careful, upload))
        # Two others have had their time meanwhile: a photo, and a job of which little came.
        for path in ("/v1/classify", JOBS):
            other = held.enter_context(
                asking(careful, head(KIND, "Content-Length: 99", path=path) + b"--b")
            )
            assert read_one(other).code == "request_timeout"
        slow.sendall(b"\n")
        answer = read_one(slow)
        assert answer.status == 202
        httpx2.delete(f"{careful.url}{answer.headers['location']}", trust_env=False)
    job = answer.headers["location"].rpartition("/")[2]
    blobs = careful.services.blobs
    blobs.clear(f"jobs/{job}")
