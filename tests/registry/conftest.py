"""Fixtures: a bucket."""

import importlib.util
import uuid
from collections.abc import Iterator

import pytest
from tests.s3 import FakeS3, running_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """An S3 server that the environment leads to."""
    if importlib.util.find_spec("obstore") is None:
        pytest.skip("needs the extra s3: make test EXTRAS=s3")
    with running_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def bucket(s3: FakeS3) -> str:
    """The name of an empty bucket there."""
    name = f"test-{uuid.uuid4().hex}"
    s3.request("PUT", name)
    return name
