"""No URL makes the server connect to where strangers have no business."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.net.hosts import (
    PUBLIC,
    Host,
    Names,
    answer,
    hosting,
    hosting_together,
    let_be_public,
    redirect,
)
from tests.robustness.private_urls import PROXIES, VECTORS, Sinks, sinking
from tests.support import (
    EXPECTED,
    LocalServer,
    Server,
    fake_bundle,
    grey,
    photo,
    serving,
    serving_here,
)

from viewfinder.settings import FetchSettings, Settings

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the usual one takes a tenth of a second to make


@pytest.fixture(scope="module")
def sinks() -> Iterator[Sinks]:
    with sinking() as sinks:
        yield sinks


@pytest.fixture(scope="module")
def lured(tmp_path_factory: pytest.TempPathFactory, sinks: Sinks) -> Iterator[Server]:
    """A server that fetches, may ask the port of the sinks, and is told to use them as proxies."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("default login somebody password secret\n")
    fake_bundle(home / "models")
    with pytest.MonkeyPatch.context() as environment:
        for name in PROXIES:
            environment.setenv(name, f"http://127.0.0.1:{sinks.port}")
            environment.setenv(name.upper(), f"http://127.0.0.1:{sinks.port}")
        environment.setenv("NO_PROXY", "")
        environment.setenv("HOME", str(home))
        settings = {
            "FETCH__ENABLED": "true",
            "FETCH__PORTS": f"80,443,{sinks.port}",
            "FETCH__TIMEOUT_S": "2",
            "DEFAULT_MODEL": "fake",
        }
        with serving(home, **settings) as server:
            yield server


def _ask(url: str, body: object) -> httpx2.Response:
    return httpx2.post(url, json=body, verify=_NO_TLS, trust_env=False, timeout=60)


def _problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("vector", VECTORS, ids=[repr(vector)[1:60] for vector in VECTORS])
def test_what_can_be_no_public_url_is_refused_and_nobody_is_asked(
    lured: Server, sinks: Sinks, vector: str
) -> None:
    given = vector.replace("PORT", str(sinks.port))
    response = _ask(f"{lured.url}/v1/classify", {"url": given})
    assert _problem(response) == (422, "blocked_address"), response.text
    detail = response.json()["detail"]
    assert "127.0.0.1" not in detail
    assert "Error" not in detail
    assert sinks.reached() == 0


def test_there_are_enough_of_them() -> None:
    assert len(set(VECTORS)) == len(VECTORS) > 60


def test_in_a_batch_each_is_refused_for_itself(lured: Server, sinks: Sinks) -> None:
    urls = [vector.replace("PORT", str(sinks.port)) for vector in VECTORS[:60]]
    images = [{"url": url} for url in urls]
    results = _ask(f"{lured.url}/v1/batch-classify", {"images": images}).json()["results"]
    assert {result["error"]["code"] for result in results} == {"blocked_address"}
    assert sinks.reached() == 0


def test_proxies_of_the_environment_are_not_asked(lured: Server, sinks: Sinks) -> None:
    for url in ("http://1.1.1.1/", "https://1.1.1.1/", "http://example.com/"):
        response = _ask(f"{lured.url}/v1/classify", {"url": url})
        assert _problem(response)[1] in {
            "fetch_failed",
            "blocked_address",
            "unsupported_media_type",
        }
    assert sinks.reached() == 0


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Name server; `PUBLIC` counts as an address of the internet."""
    let_be_public(monkeypatch)
    return Names(monkeypatch)


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """A host on the internet, and what listens at the same port inside."""
    private = ("127.0.0.1", "::1") if socket.has_ipv6 else ("127.0.0.1",)
    with hosting_together(PUBLIC, *private, answers={"/grey.png": answer(grey(100))}) as hosts:
        yield hosts


@pytest.fixture
def public(names: Names, hosts: list[Host]) -> Host:
    """The one on the internet, `photos.example.com`."""
    names.answers["photos.example.com"] = [[PUBLIC]]
    return hosts[0]


@pytest.fixture
def inside(hosts: list[Host]) -> list[Host]:
    """Those inside."""
    return hosts[1:]


@pytest.fixture
def here(store: Path, public: Host) -> Iterator[LocalServer]:
    """A server in this process, so that it asks the name server above."""
    with _fetching_here(store, ports=(public.port,)) as server:
        yield server


def _fetching_here(store: Path, **options: Any) -> Any:
    fake_bundle(store)
    return serving_here(
        Settings(
            model_store=store,
            default_model="fake",
            threads=2,
            request_timeout_s=300,  # no clock ends a fetch here
            fetch=FetchSettings(enabled=True, timeout_s=300, **options),
        )
    )


def _label(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    name: str = response.json()["class"]
    return name


def test_a_public_photo_is_labelled(here: LocalServer, public: Host) -> None:
    url = public.url("/grey.png", name="photos.example.com")
    assert _label(_ask(f"{here.url}/v1/classify", {"url": url})) == "step-6"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1:PORT/",
        "//127.0.0.1:PORT/",
        r"\\127.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://2130706433:PORT/",
        "http://[::1]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://user@photos.example.com:PORT/",
        "http://inside.example.com:PORT/",
        "HTTP://169.254.169.254:PORT/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/",
        "data:image/png;base64,iVBORw0KGgo=",
        "http://photos.example.com:22/",
    ],
)
def test_no_redirect_leads_inside(
    here: LocalServer, public: Host, inside: list[Host], names: Names, *, where: str, status: int
) -> None:
    names.answers["inside.example.com"] = [["127.0.0.1"]]
    public.answers["/"] = redirect(where.replace("PORT", str(public.port)), status)
    response = _ask(f"{here.url}/v1/classify", {"url": public.url(name="photos.example.com")})
    expected = "fetch_failed" if where.startswith("\\") else "blocked_address"
    assert _problem(response) == (422, expected), response.text
    assert [host.reached() for host in inside] == [0] * len(inside)


def test_no_chain_of_redirects_leads_inside(
    here: LocalServer, public: Host, inside: list[Host]
) -> None:
    private = f"http://127.0.0.1:{public.port}/"
    public.answers |= {"/": redirect("/1"), "/1": redirect("/2"), "/2": redirect(private)}
    response = _ask(f"{here.url}/v1/classify", {"url": public.url(name="photos.example.com")})
    assert _problem(response) == (422, "blocked_address")
    assert [head.split()[1] for head in public.heads] == ["/", "/1", "/2"]
    assert [host.reached() for host in inside] == [0] * len(inside)


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_a_name_that_means_something_else_the_next_time_gains_nothing(
    here: LocalServer, public: Host, inside: list[Host], names: Names, private: str
) -> None:
    names.answers["rebinding.example.com"] = [[PUBLIC], [private]]
    url = public.url("/grey.png", name="rebinding.example.com")
    assert _label(_ask(f"{here.url}/v1/classify", {"url": url})) == "step-6"
    assert names.asked == ["rebinding.example.com"]
    for _ in range(3):
        assert _problem(_ask(f"{here.url}/v1/classify", {"url": url})) == (422, "blocked_address")
    assert [host.reached() for host in inside] == [0] * len(inside)


def test_nor_does_one_that_changes_between_two_redirects(
    here: LocalServer, public: Host, inside: list[Host], names: Names
) -> None:
    names.answers["rebinding.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    public.answers["/"] = redirect("/grey.png")
    url = public.url(name="rebinding.example.com")
    assert _problem(_ask(f"{here.url}/v1/classify", {"url": url})) == (422, "blocked_address")
    assert [host.reached() for host in inside] == [0] * len(inside)


@pytest.mark.parametrize("mixed", [[PUBLIC, "127.0.0.1"], ["::1", PUBLIC], [PUBLIC, "10.0.0.1"]])
def test_a_name_with_one_private_address_is_refused_whole(
    here: LocalServer, public: Host, inside: list[Host], names: Names, mixed: list[str]
) -> None:
    names.answers["mixed.example.com"] = [mixed]
    url = public.url("/grey.png", name="mixed.example.com")
    assert _problem(_ask(f"{here.url}/v1/classify", {"url": url})) == (422, "blocked_address")
    assert [host.reached() for host in (public, *inside)] == [0] * (1 + len(inside))


def test_who_goes_stops_the_fetch(here: LocalServer, public: Host) -> None:
    gone = threading.Event()

    def wait(connection: socket.socket) -> None:
        asked.set()
        assert connection.recv(1) == b""
        gone.set()

    asked = threading.Event()
    public.answers["/"] = wait
    body = f'{{"url": "{public.url(name="photos.example.com")}"}}'
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(here.address, timeout=30) as connection:
        connection.sendall((head + body).encode())
        assert asked.wait(30)
        assert not gone.is_set()
    assert gone.wait(30)


def test_the_images_of_a_batch_are_fetched_side_by_side(here: LocalServer, public: Host) -> None:
    together = threading.Barrier(2)

    def wait(connection: socket.socket) -> None:
        together.wait(30)
        connection.sendall(answer(grey(0)))

    public.answers["/slow"] = wait
    slow = public.url("/slow", name="photos.example.com")
    urls = [slow, public.url("/nothing", name="photos.example.com"), slow, "http://127.0.0.1/"]
    images = [{"url": url} for url in urls]
    results = _ask(f"{here.url}/v1/batch-classify", {"images": images}).json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == [
        None,
        "fetch_failed",
        None,
        "blocked_address",
    ]


def test_where_private_addresses_are_allowed_a_photo_inside_is_labelled(tmp_path: Path) -> None:
    with hosting({"/cat.jpg": answer(photo("cat.jpg"))}) as host:
        settings = {
            "FETCH__ENABLED": "true",
            "FETCH__ALLOW_PRIVATE": "true",
            "FETCH__PORTS": str(host.port),
        }
        with serving(tmp_path, **settings) as server:
            for name in ("127.0.0.1", "localhost"):
                url = host.url("/cat.jpg", name=name)
                response = _ask(f"{server.url}/v1/classify", {"url": url})
                assert _label(response) in EXPECTED["cat.jpg"]
            for odd in ("2130706433", "127.1", "0x7f.1"):
                response = _ask(f"{server.url}/v1/classify", {"url": host.url(name=odd)})
                assert _problem(response) == (422, "blocked_address")


def test_a_server_that_does_not_fetch_says_so(client: httpx2.Client) -> None:
    response = client.post("/v1/classify", json={"url": "https://example.com/cat.jpg"})
    assert _problem(response) == (403, "url_fetch_disabled")
