"""The tree of errors and its catalogue."""

from collections.abc import Iterator

from tests.support import ROOT
from viewfinder import errors
from viewfinder.api.errors import CATALOG
from viewfinder.errors import RequestError, ServiceError, ViewfinderError


def _leaves(base: type[ViewfinderError]) -> Iterator[type[ViewfinderError]]:
    for child in base.__subclasses__():
        if child.__subclasses__():
            yield from _leaves(child)
        else:
            yield child


def test_every_code_that_can_reach_a_caller_has_a_status() -> None:
    codes = {leaf.code for base in (RequestError, ServiceError) for leaf in _leaves(base)}
    from_starlette = {"not_found", "method_not_allowed", "internal_error"}
    assert codes | from_starlette == CATALOG.keys()


def test_no_two_errors_share_a_code() -> None:
    codes = [leaf.code for leaf in _leaves(ViewfinderError)]
    assert len(codes) == len(set(codes))


def test_the_docstring_draws_the_whole_tree() -> None:
    drawing = errors.__doc__ or ""
    for leaf in _leaves(ViewfinderError):
        assert f"{leaf.__name__} " in drawing
        assert f" {leaf.code}\n" in drawing


def test_the_page_for_users_explains_every_code() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    for code, (status, _) in CATALOG.items():
        assert f"| {status} | `{code}` |" in page
