"""Keys as they are made, shown, kept and recognised: `vf_<id>_<secret>`.

The secret has 256 random bits, so that nobody guesses it and a plain SHA-256 of it can be kept:
slow hashes are for passwords, which people choose (decisions/0011).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from viewfinder.storage.keys import ApiKey
from viewfinder.types import AccessScope

SCOPES: tuple[AccessScope, ...] = get_args(AccessScope)
_ID_BYTES = 6
_SECRET_BYTES = 32
# Hexadecimal digits: one double click takes the whole token, and its length is fixed.
_TOKEN = re.compile(r"vf_([0-9a-f]{12})_([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of our form, taken apart; whether it counts is another question."""

    id: str
    secret: str


def parse_token(text: str) -> Token | None:
    """A token's parts; None for what cannot be one."""
    found = _TOKEN.fullmatch(text)
    return None if found is None else Token(*found.groups())


def digest_of(secret: str) -> str:
    """What is kept of a secret: its SHA-256, as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(digest: str, other: str) -> bool:
    """Whether two digests are the same; how long that takes tells nothing."""
    return hmac.compare_digest(digest, other)


def holder_of(key: ApiKey) -> str:
    """Who shows a key, as records, limits and secrets name them."""
    return f"key:{key.id}"


def is_key_name(text: str) -> bool:
    """Whether `text` may name a key: 1-64 of letters, digits and `. _ @ -`, and no key's id."""
    return _NAME.fullmatch(text) is not None and _ID.fullmatch(text) is None


def make_key(
    name: str,
    *,
    now: datetime,
    scopes: Iterable[AccessScope],
    expires: datetime | None = None,
    requests: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key: what is kept of it, and the token, which is known nowhere else.

    Args:
        name: See `is_key_name`.
        now: When it is made.
        scopes: What its holder may do.
        expires: From when on it does not count; None for never.
        requests: Requests within the window of the rate limit; None for what the settings say.
    """
    identifier, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    key = ApiKey(
        id=identifier,
        name=name,
        digest=digest_of(secret),
        scopes=frozenset(scopes),
        requests=requests,
        created=now,
        expires=expires,
    )
    return key, f"vf_{identifier}_{secret}"
