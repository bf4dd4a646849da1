"""The pages: they need no other host, and allow none."""

import re
from pathlib import Path

import httpx2
import pytest
from tests.support import ROOT

from viewfinder.imaging.suffixes import HEIC, SUFFIXES

STATIC = ROOT / "src" / "viewfinder" / "web" / "static"
OWN = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]


@pytest.mark.parametrize("page", ["/", "/docs", "/models", "/review", "/activity", "/live"])
def test_a_page_and_all_it_links_are_served_from_here(client: httpx2.Client, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    links = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
    assert links
    for link in links:
        assert link.startswith("/"), link
        assert client.get(link).status_code == 200, link


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_asset_of_ours_names_another_host(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text)


def test_what_is_a_photo_to_the_package_is_one_to_the_pages() -> None:
    script = (STATIC / "js" / "classify" / "intake.js").read_text()
    found = re.search(r"IMAGE = /(.+)/i;", script)
    assert found
    assert [suffix for suffix in SUFFIXES if not re.search(found[1], f"photo{suffix}")] == []
    assert not re.search(found[1], "photo.avif")
    for name in ("activity", "classify"):
        page = (STATIC.parent / "templates" / f"{name}.html.j2").read_text()
        (accepted,) = re.findall(r'type="file"[^>]* accept="([^"]+)"', page)
        assert HEIC | {"image/*"} == set(accepted.split(",")) - {".zip"}


def test_static_serves_nothing_but_the_assets(client: httpx2.Client) -> None:
    for path in ("/static/../routes.py", "/static/%2e%2e/routes.py", "/static/"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs", "/models", "/static/js/api.js"])
@pytest.mark.parametrize("given", ["bytes=abc", "bytes=5-2", "lines=1-2", "bytes=99999999-"])
def test_whatever_range_is_asked_for_the_whole_file_comes(
    client: httpx2.Client, path: str, given: str
) -> None:
    answer = client.get(path, headers={"Range": given})
    assert answer.status_code == 200
    assert answer.content == client.get(path).content
