"""Tokens: made, taken apart, kept as a digest."""

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.access.keys import digest_of, is_key_name, make_key, parse_token

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = "vf_0123456789ab_" + "0f" * 32


def test_a_key_keeps_the_digest_of_its_secret_and_not_the_secret() -> None:
    key, token = make_key("robot", now=NOW, scopes=["read"])
    parsed = parse_token(token)
    assert parsed is not None
    assert parsed.id == key.id
    assert key.digest == hashlib.sha256(parsed.secret.encode()).hexdigest()
    assert parsed.secret not in repr(key)
    assert len(bytes.fromhex(parsed.secret)) == 32


def test_no_two_keys_are_alike() -> None:
    made = [make_key("robot", now=NOW, scopes=[]) for _ in range(1000)]
    assert len({key.id for key, _ in made}) == len({token for _, token in made}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD.replace("vf_", "vf-"),
        GOOD.replace("ab_", "abc"),
        GOOD.replace("0f", "\u0660f"),  # a digit, but not one of ours
        "x" * 1_000_000,
    ],
)
def test_what_cannot_be_a_token_is_not_looked_up(text: str) -> None:
    assert parse_token(GOOD) is not None
    assert parse_token(text) is None


@given(st.text())
def test_any_text_is_a_token_or_none(text: str) -> None:
    assert parse_token(text) is None
    assert len(digest_of(text.encode(errors="replace").decode())) == 64


def test_names_of_keys() -> None:
    for good in ("robot", "R2.d2_x-1@home", "a" * 64, "0123456789ag"):
        assert is_key_name(good)
    for bad in ("", "a b", "-x", "a" * 65, "é", "a\n", "0123456789ab"):
        assert not is_key_name(bad)
