"""Tokens of a provider: which count, and what happens when it changes its keys or goes away."""

import asyncio
import base64
import hashlib
import hmac
import importlib
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.oidc import AUDIENCE, IdentityProvider, sign
from tests.support import soon

from viewfinder.errors import UnauthenticatedError
from viewfinder.settings import OidcSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from viewfinder.access.oidc import Provider


@asynccontextmanager
async def _provider(idp: IdentityProvider, **settings: Any) -> "AsyncIterator[Provider]":
    oidc = importlib.import_module("viewfinder.access.oidc")
    given = OidcSettings(issuer=idp.issuer, audience=AUDIENCE, **settings)
    provider: Provider = oidc.Provider(given)
    await provider.start()
    yield provider
    await provider.close()


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token that no library makes."""
    text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
    mark = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{_base64(mark)}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_genuine_token_tells_who_and_what(idp: IdentityProvider, algorithm: str) -> None:
    idp.add_key("other", algorithm)
    async with _provider(idp) as provider:
        principal = await provider.identify(idp.token("other"))
        assert (principal.id, principal.requests) == ("oidc:ada", None)
        assert principal.scopes == {"classify", "read"}
    assert idp.asked == ["/.well-known/openid-configuration", "/jwks"]


@pytest.mark.parametrize(
    ("claim", "scopes"),
    [
        ("manage", {"manage"}),
        (["read", "admin", 7, {}], {"read"}),
        ("READ classify,manage", set()),
        (None, set()),
        ({"read": True}, set()),
        (7, set()),
    ],
)
async def test_only_our_scopes_count_as_text_or_list(
    idp: IdentityProvider, claim: object, scopes: set[str]
) -> None:
    async with _provider(idp, scopes_claim="roles") as provider:
        principal = await provider.identify(idp.token(roles=claim))
        assert principal.scopes == scopes


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 120},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "two\nlines"},
        {"sub": "x" * 256},
        {"sub": 7},
    ],
)
async def test_a_claim_that_is_not_right_refuses_the_token(
    idp: IdentityProvider, claims: dict[str, Any]
) -> None:
    async with _provider(idp) as provider:
        key = idp.keys["first"][1]
        token = sign(idp.claims(), key, "RS256", "first")
        assert await provider.identify(token)
        wrong = {**idp.claims(), **claims}
        wrong = {name: value for name, value in wrong.items() if value is not None}
        text = ".".join(
            _base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "first"}, wrong)
        )
        algorithms = importlib.import_module("jwt.algorithms")
        mark = algorithms.RSAAlgorithm(algorithms.RSAAlgorithm.SHA256).sign(text.encode(), key)
        with pytest.raises(UnauthenticatedError):
            await provider.identify(f"{text}.{_base64(mark)}")


async def test_a_minute_of_difference_between_clocks_is_forgiven(idp: IdentityProvider) -> None:
    async with _provider(idp) as provider:
        now = int(time.time())
        assert await provider.identify(idp.token(exp=now - 20))
        assert await provider.identify(idp.token(nbf=now + 20, iat=now + 20))
        assert await provider.identify(idp.token(aud=["another", AUDIENCE]))


async def test_a_signature_that_anybody_could_make_is_refused(idp: IdentityProvider) -> None:
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    pem = (
        idp.keys["first"][1]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    idp.extra = [{"kty": "oct", "k": _base64(b"shared" * 8), "kid": "shared", "alg": "HS256"}]
    stranger = IdentityProvider(1)
    stranger.issuer = idp.issuer
    stranger.add_key("first")
    genuine = idp.token()
    head, body, mark = genuine.split(".")
    forged = [
        *(_by_hand({"alg": alg}, idp.claims(), None) for alg in ("none", "None", "nOnE", "")),
        _by_hand({"alg": "none", "kid": "first"}, idp.claims(), None),
        _by_hand({"kid": "first"}, idp.claims(), None),
        _by_hand({"alg": ["RS256"], "kid": "first"}, idp.claims(), None),
        _by_hand({"alg": "HS256", "kid": "first"}, idp.claims(), pem),
        _by_hand({"alg": "HS256", "kid": "shared"}, idp.claims(), b"shared" * 8),
        _by_hand({"alg": "RS256", "kid": "first"}, idp.claims(), pem),
        _by_hand({"alg": "ES256", "kid": "first"}, idp.claims(), pem),
        stranger.token(),
        f"{head}.{_base64(json.dumps(idp.claims(sub='eve')).encode())}.{mark}",
        f"{head}.{body}.",
        f"{head}.{body}.{mark[:-4]}AAAA",
        "a.b.c",
        "..",
        "[" * 5000 + ".x.x",
        _base64(b"[" * 10_000) + ".e30.e30",
    ]
    async with _provider(idp) as provider:
        assert await provider.identify(genuine)
        for token in forged:
            with pytest.raises(UnauthenticatedError):
                await provider.identify(token)


async def test_a_key_that_is_too_short_signs_nothing(idp: IdentityProvider) -> None:
    key = idp.add_key("short", bits=1024)
    algorithms = importlib.import_module("jwt.algorithms")
    text = ".".join(
        _base64(json.dumps(part).encode())
        for part in ({"alg": "RS256", "kid": "short"}, idp.claims())
    )
    mark = algorithms.RSAAlgorithm(algorithms.RSAAlgorithm.SHA256).sign(text.encode(), key)
    async with _provider(idp) as provider:
        with pytest.raises(UnauthenticatedError):
            await provider.identify(f"{text}.{_base64(mark)}")


async def test_a_new_key_is_fetched_once_and_made_up_ones_fetch_no_more(
    idp: IdentityProvider,
) -> None:
    async with _provider(idp, jwks_url=f"{idp.issuer}/jwks") as provider:
        assert idp.asked == ["/jwks"]
        idp.add_key("second", "ES256")
        del idp.keys["first"]
        tokens = [idp.token("second", sub=f"user-{n}") for n in range(20)]
        found = await asyncio.gather(*(provider.identify(token) for token in tokens))
        assert len({principal.id for principal in found}) == 20
        assert idp.asked == ["/jwks"] * 2

        idp.add_key("third")
        for _ in range(20):
            with pytest.raises(UnauthenticatedError, match="does not have"):
                await provider.identify(idp.token("third"))
        assert idp.asked == ["/jwks"] * 2


async def test_a_key_that_is_taken_back_counts_no_more_for_new_tokens(
    idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.access.jwks._FRESH_S", 0.01)
    async with _provider(idp) as provider:
        token = idp.token()
        idp.add_key("second")
        del idp.keys["first"]
        await soon(lambda: "first" not in provider._keys._keys)
        with pytest.raises(UnauthenticatedError, match="does not have"):
            await provider.identify(token)


async def test_a_provider_that_is_away_leaves_its_keys_and_is_found_later(
    idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("viewfinder.access.jwks._FRESH_S", 0.01)
    monkeypatch.setattr("viewfinder.access.jwks._RETRY_S", 0.01)
    idp.up = False
    async with _provider(idp) as provider:
        with pytest.raises(UnauthenticatedError, match="cannot be checked now"):
            await provider.identify(idp.token())
        idp.up = True
        await soon(lambda: provider._keys.known)
        assert await provider.identify(idp.token())
        idp.up = False
        asked = len(idp.asked)
        await soon(lambda: len(idp.asked) > asked + 3)
        assert await provider.identify(idp.token(sub="another"))
    assert caplog.text.count("cannot be fetched") == 2


async def test_a_discovery_that_names_another_issuer_is_not_believed(
    idp: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    token, issuer = idp.token(), idp.issuer
    idp.issuer = "https://elsewhere.example"
    given = OidcSettings(issuer=issuer, audience=AUDIENCE)
    provider = importlib.import_module("viewfinder.access.oidc").Provider(given)
    await provider.start()
    with pytest.raises(UnauthenticatedError, match="cannot be checked now"):
        await provider.identify(token)
    assert "another issuer" in caplog.text
    await provider.close()


async def test_a_token_that_is_known_is_not_checked_again_until_it_expires(
    idp: IdentityProvider,
) -> None:
    now = time.time()
    oidc = importlib.import_module("viewfinder.access.oidc")
    settings = OidcSettings(issuer=idp.issuer, audience=AUDIENCE)
    provider = oidc.Provider(settings, clock=lambda: now)
    await provider.start()
    token = idp.token(exp=int(now) + 100)
    first = await provider.identify(token)
    assert await provider.identify(token) is first
    now += 101
    again = await provider.identify(token)  # the library's clock still stands before its end
    assert again is not first
    await provider.close()
