"""An S3 on this machine: moto behind a real socket."""

import http.client
import importlib.util
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests.support import fake_bundle, needs
from viewfinder.registry.manifest import Manifest

_REFUSAL = b"<Error><Code>%s</Code><Message>secret-key is not for you</Message></Error>"
_SOMEBODY = "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request"
_moto = DomainDispatcherApplication(create_backend_app)
_one_at_a_time = threading.Lock()


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class FakeS3:
    """The server, with what a test does to it.

    Attributes:
        refuse: For the method and path of a request, the error code to answer, or None.
        lose_answer: Which request is carried out the first time, and answered 503 instead.
        after: Called after each request that was carried out.
        seen: Method and path of every request.
    """

    def __init__(self) -> None:
        self.refuse: Callable[[str, str], str | None] = lambda *_: None
        self.lose_answer: Callable[[str, str], bool] = lambda *_: False
        self.after: Callable[[str, str], None] = lambda *_: None
        self.seen: list[tuple[str, str]] = []
        self.port = 0
        self._server: BaseWSGIServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What points a process to it."""
        return {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret-key",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "NO_PROXY": "127.0.0.1",
        }

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=_Quiet
        )
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more; the objects stay."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """What somebody else does to a bucket: no name is too strange."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, "/" + quote(path), body, {"Authorization": _SOMEBODY})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status < 300, content
        return content

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.seen.append((method, path))
        if (code := self.refuse(method, path)) is not None:
            return _refuse(code, start)
        if self.lose_answer(method, path):
            self.lose_answer = lambda *_: False
            with _one_at_a_time:
                list(_moto(environ, lambda *_: None))
            return _refuse("SlowDown", start)
        # moto looks and then writes: S3's conditional requests are atomic.
        with _one_at_a_time:
            answer = _moto(environ, start)
        self.after(method, path)
        return answer


def _refuse(code: str, start: Any) -> list[bytes]:
    status = "503 Slow Down" if code == "SlowDown" else "403 Forbidden"
    start(status, [("Content-Type", "application/xml")])
    return [_REFUSAL % code.encode()]


@contextmanager
def running_s3() -> Iterator[FakeS3]:
    """A server for a while, for who has what talks to it."""
    needs(
        "the extra s3 (make test EXTRAS=s3)",
        met=importlib.util.find_spec("obstore") is not None,
    )
    s3 = FakeS3()
    s3.start()
    try:
        yield s3
    finally:
        s3.stop()


def fake_version(
    scratch: Path, name: str = "fake", version: int = 1, **options: Any
) -> tuple[Manifest, dict[str, bytes]]:
    """A manifest and its files, to be published."""
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="version-"))
    bundle = fake_bundle(folder, name, version, **options)
    return bundle.manifest, {"graph.json": (bundle.folder / "graph.json").read_bytes()}
