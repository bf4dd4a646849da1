"""What is shown of text that was not made for it."""

import pytest

from viewfinder.shared.plain import without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
        ("rediss://u:hunter2@h/0", "rediss://u:***@h/0"),
        ("postgresql://u:hunt/er@2@h/db", "postgresql://u:***@h/db"),
        (
            "postgresql://h/db?user=u&password=hunter2&x=1",
            "postgresql://h/db?user=u&password=***&x=1",
        ),
        ("postgresql://h/db?sslPassword=hunter2", "postgresql://h/db?sslPassword=***"),
        ("postgresql://u@h:1/db", "postgresql://u@h:1/db"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown
