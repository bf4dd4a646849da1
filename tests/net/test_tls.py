"""Certificates are for the name in the URL, whatever the address is."""

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.net.hosts import PUBLIC, Host, Names, answer, fetching, hosting, let_be_public, redirect
from tests.support import needs, photo

from viewfinder.errors import BlockedAddressError, FetchFailedError

CAT = photo("cat.jpg")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=photos"),
                *("-addext", "subjectAltName=DNS:photos.example.com"),
                *("-keyout", f"{file}.key", "-out", f"{file}.crt"),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        needs("openssl", met=False)
    file.write_bytes(Path(f"{file}.key").read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    let_be_public(monkeypatch)
    names = Names(monkeypatch)
    names.answers |= {"photos.example.com": [[PUBLIC]], "other.example.com": [[PUBLIC]]}
    return names


@pytest.fixture
def asked_for() -> list[str | None]:
    return []


@pytest.fixture
def secure(certificate: Path, names: Names, asked_for: list[str | None]) -> Iterator[Host]:
    assert names
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    with hosting({"/cat.jpg": answer(CAT)}, address=PUBLIC, tls=context) as host:
        yield host


async def test_the_name_of_the_url_is_what_the_certificate_is_checked_for(
    secure: Host,
    certificate: Path,
    asked_for: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with fetching(secure, allow_private=False) as fetch:
        url = secure.url("/cat.jpg", name="photos.example.com", scheme="https")
        assert await fetch(url) == CAT
        for name in ("other.example.com", PUBLIC):
            with pytest.raises(FetchFailedError):
                await fetch(secure.url("/cat.jpg", name=name, scheme="https"))
    assert asked_for[:2] == ["photos.example.com", "other.example.com"]
    assert len(secure.heads) == 1


async def test_a_certificate_of_nobody_is_refused(secure: Host) -> None:
    async with fetching(secure, allow_private=False) as fetch:
        with pytest.raises(FetchFailedError):
            await fetch(secure.url("/cat.jpg", name="photos.example.com", scheme="https"))
    assert secure.heads == []


async def test_https_does_not_lead_to_http(
    secure: Host, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with hosting({"/cat.jpg": answer(CAT)}, address=PUBLIC) as plain:
        secure.answers["/down"] = redirect(plain.url("/cat.jpg"))
        secure.answers["/same"] = redirect("/cat.jpg")
        plain.answers["/up"] = redirect(
            secure.url("/cat.jpg", name="photos.example.com", scheme="https")
        )
        async with fetching(secure, plain, allow_private=False) as fetch:
            name = "photos.example.com"
            assert await fetch(secure.url("/same", name=name, scheme="https")) == CAT
            assert await fetch(plain.url("/up")) == CAT
            with pytest.raises(BlockedAddressError, match="https to http"):
                await fetch(secure.url("/down", name=name, scheme="https"))
        assert len(plain.heads) == 1
