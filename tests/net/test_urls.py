"""URLs, before anybody is asked. What they may not lead to is in tests/robustness."""

import pytest

from viewfinder.errors import BlockedAddressError
from viewfinder.net.urls import read_redirect, read_url

PORTS = (80, 443)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("http://example.com", "http://example.com"),
        ("HTTPS://Example.COM:443/A/../b.jpg?c=D#e", "https://example.com/b.jpg?c=D"),
        ("http://example.com./", "http://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://b\u00fccher.example/", "http://xn--bcher-kva.example/"),
        ("http://a_b.example.com/", "http://a_b.example.com/"),
        ("http://1.1.1.1.example.com/", "http://1.1.1.1.example.com/"),
        ("http://1e100.net/", "http://1e100.net/"),
        ("http://0x7f.example.com/", "http://0x7f.example.com/"),
        ("http://8.8.8.8./", "http://8.8.8.8/"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://example.com/a b/\u00e4", "http://example.com/a%20b/%C3%A4"),
    ],
)
def test_a_url_in_its_usual_form(given: str, read: str) -> None:
    assert str(read_url(given, PORTS, allow_private=False)) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ftp://example.com/", "neither http:// nor https://"),
        ("example.com/cat.jpg", "neither http:// nor https://"),
        ("http://user@example.com/", "user name"),
        ("http://:password@example.com/", "user name"),
        ("http://example.com:8080/", "port"),
        ("http://example.com:x/", "no valid form"),
        ("http://example.com:" + "9" * 5000, "no valid form"),
        ("http://example.com/\n", "no valid form"),
        ("http://example.com/\ud800", "no valid form"),
        ("http:///cat.jpg", "no valid host"),
        ("http://a..example.com/", "no valid host"),
        ("http://example.com../", "no valid host"),
        ("http://exam%70le.com/", "no valid host"),
        ("http://" + "a." * 126 + "com/", "no valid host"),
        ("http://" + "a" * 64 + ".com/", "no valid host"),
        ("http://134744072/", "address in a form"),
        ("http://8.8.8/", "address in a form"),
        ("http://08.8.8.8/", "no valid form"),
        ("http://0x08080808/", "address in a form"),
        ("http://example.0x8/", "address in a form"),
        ("http://10.0.0.1/", "no public address"),
        ("http://intranet/", "no public address"),
        ("http://example.com/" + "a" * 8192, "longer than 8,192"),
    ],
)
def test_a_url_that_is_refused_says_why(given: str, said: str) -> None:
    with pytest.raises(BlockedAddressError, match=said):
        read_url(given, PORTS, allow_private=False)


@pytest.mark.parametrize("given", ["http://10.0.0.1/", "http://intranet/", "http://[fe80::1]/"])
def test_private_hosts_may_be_allowed(given: str) -> None:
    assert str(read_url(given, PORTS, allow_private=True)) == given


@pytest.mark.parametrize(
    "given", ["http://2130706433/", "http://127.1/", "http://[fe80::1%25lo]/", "http://a@intranet/"]
)
def test_what_has_no_usual_form_is_refused_all_the_same(given: str) -> None:
    with pytest.raises(BlockedAddressError):
        read_url(given, PORTS, allow_private=True)


@pytest.mark.parametrize(
    ("location", "read"),
    [
        ("b.jpg", "https://example.com/a/b.jpg"),
        ("/b.jpg", "https://example.com/b.jpg"),
        ("//example.org/", "https://example.org/"),
        ("https://example.org/b?c#d", "https://example.org/b?c"),
        ("?c", "https://example.com/a/a.jpg?c"),
        ("", "https://example.com/a/a.jpg"),
    ],
)
def test_where_an_answer_points(location: str, read: str) -> None:
    base = read_url("https://example.com/a/a.jpg", PORTS, allow_private=False)
    assert str(read_redirect(base, location, PORTS, allow_private=False)) == read


@pytest.mark.parametrize(
    "location", ["http://example.com/", "//10.0.0.1/", "//a@example.com/", "//[::1", "file:///"]
)
def test_where_it_may_not_point(location: str) -> None:
    base = read_url("https://example.com/a/a.jpg", PORTS, allow_private=False)
    with pytest.raises(BlockedAddressError):
        read_redirect(base, location, PORTS, allow_private=False)
