"""Tokens of an OpenID Connect provider, told genuine by its public keys."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import jwt
from cachetools import TLRUCache
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from viewfinder.access.jwks import ALGORITHMS, ProviderKeys
from viewfinder.access.keys import SCOPES
from viewfinder.errors import UnauthenticatedError
from viewfinder.settings import OidcSettings
from viewfinder.types import AccessScope, Principal

_LAST_SECOND = 2**53  # whatever a provider says
_LEEWAY_S = 60
_REMEMBERED = 10_000
_REMEMBERED_S = 300.0
_LONGEST_SUBJECT = 255


class Provider:
    """Tells who shows a token of one provider.

    A token that was found genuine is remembered until it expires, or for five minutes: a key that
    its provider takes back counts no longer than that.

    Args:
        settings: The provider, and whom its tokens must be meant for.
        clock: Seconds since 1970.
    """

    def __init__(self, settings: OidcSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._issuer = str(settings.issuer)
        self._audience = str(settings.audience)
        self._claim = settings.scopes_claim
        self._keys = ProviderKeys(self._issuer, settings.jwks_url)
        self._known: TLRUCache[bytes, tuple[Principal, float]] = TLRUCache(
            _REMEMBERED, ttu=lambda _, known, now: min(known[1], now + _REMEMBERED_S), timer=clock
        )

    async def start(self) -> None:
        """Fetch the provider's keys; if it is away, it is tried again."""
        await self._keys.start()

    async def close(self) -> None:
        """Stop fetching."""
        await self._keys.close()

    async def identify(self, token: str) -> Principal:
        """Who shows this token. One that is known is found without waiting.

        Raises:
            UnauthenticatedError: It does not count, or cannot be checked now.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            return known[0]
        claims = await self._verified(token)
        subject = str(claims["sub"])
        if not subject.isprintable() or not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise UnauthenticatedError("The token does not say well whose it is.")
        principal = Principal(f"oidc:{subject}", scopes_of(claims.get(self._claim)))
        self._known[digest] = principal, float(min(int(claims["exp"]), _LAST_SECOND))
        return principal

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise UnauthenticatedError(f"A token is signed with {', '.join(ALGORITHMS)}.")
            key = await self._keys.find(header.get("kid"))
            if key is None:
                raise UnauthenticatedError(
                    "The token is signed with a key that its provider does not have."
                    if self._keys.known
                    else "The token cannot be checked now: its provider cannot be reached."
                )
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                },
            )
        except ExpiredSignatureError as error:
            raise UnauthenticatedError("The token has expired.") from error
        except (PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise UnauthenticatedError(
                "The token does not count here: its form, signature, issuer, audience or time is "
                "not right."
            ) from error
        return claims


def scopes_of(claim: object) -> frozenset[AccessScope]:
    """Our scopes in a claim, which is text with spaces between, or a list; others say nothing."""
    words = claim.split() if isinstance(claim, str) else claim
    if not isinstance(words, list):
        return frozenset()
    return frozenset(scope for scope in SCOPES if scope in words)
