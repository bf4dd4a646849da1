"""One server, with short patience, for all who mean it no good; and a look at it after each."""

from collections.abc import Iterator

import pytest
from tests.robustness.wire import check_unharmed
from tests.support import Server, fake_bundle, serving

HEAD_S, STALL_S, BODY_S = 2, 2, 6


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    fake_bundle(home / "models")
    with serving(
        home,
        DEFAULT_MODEL="fake",
        LIMITS__HEAD_S=HEAD_S,
        LIMITS__STALL_S=STALL_S,
        REQUEST_TIMEOUT_S=BODY_S,
    ) as running:
        yield running


@pytest.fixture
def hostile(short: Server) -> Iterator[Server]:
    """A server of short patience, which must be as before when the test ends."""
    yield short
    check_unharmed(short)


@pytest.fixture
def target(server: Server) -> Iterator[Server]:
    """The server of the other tests, with its limits as they are, which must be as before."""
    yield server
    check_unharmed(server)


@pytest.fixture(scope="session")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    for version in (1, 2):
        fake_bundle(home / "models", version=version)
    broken = fake_bundle(home / "models", "broken")
    (broken.folder / "graph.json").write_text("{}")
    (home / "models" / "halfway" / "1").mkdir(parents=True)
    with serving(home, DEFAULT_MODEL="fake") as running:
        yield running


@pytest.fixture
def changing(changed: Server) -> Iterator[Server]:
    """A server whose models may be changed, which must work as before at the end."""
    yield changed
    check_unharmed(changed)
