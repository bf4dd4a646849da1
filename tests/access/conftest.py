"""Fixtures: a provider of tokens."""

from collections.abc import Iterator

import pytest
from tests.oidc import IdentityProvider, running_provider


@pytest.fixture
def idp(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    """An OpenID Connect provider, running."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_provider() as provider:
        yield provider
