"""What tests begin, they end."""

from pathlib import Path

import pytest

from tests.support import running_redis


def test_a_redis_does_not_outlive_a_test_that_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), running_redis(tmp_path) as server:
        assert server.keys() == ["this is not so"]
    with pytest.raises(ConnectionRefusedError):
        server.ask("PING")
