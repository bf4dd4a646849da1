"""Callers are told apart by addresses that cost something to have."""

import pytest

from viewfinder.quota.address import caller_at, parse_address


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_caller_is_its_64(address: str, caller: str) -> None:
    assert caller_at(address) == caller


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "010.0.0.1", "1.2.3.4/8", "::1::", "1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None
