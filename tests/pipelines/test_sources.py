"""Where training photos are remembered to be."""

from pathlib import Path

import pytest

from viewfinder.pipelines.sources import recall_source, remember_source

DIGEST = "0123456789abcdef" * 4


def test_photos_are_found_again_by_the_digest_that_a_bundle_tells(tmp_path: Path) -> None:
    photos = tmp_path / "photos ü"
    photos.mkdir()
    remember_source(tmp_path / "home", DIGEST, photos)
    assert recall_source(tmp_path / "home", {"dataset": {"digest": DIGEST}}) == photos


def test_photos_that_are_gone_are_not_found(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    remember_source(tmp_path, DIGEST, photos)
    photos.rmdir()
    assert recall_source(tmp_path, {"dataset": {"digest": DIGEST}}) is None


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"dataset": "clothes"},
        {"dataset": {"name": "clothes"}},
        {"dataset": {"digest": 7}},
        {"dataset": {"digest": "../../etc/passwd"}},
        {"dataset": {"digest": DIGEST}},
    ],
)
def test_of_other_bundles_nothing_is_known(tmp_path: Path, provenance: dict[str, object]) -> None:
    assert recall_source(tmp_path, provenance) is None


def test_a_note_that_is_damaged_is_no_note(tmp_path: Path) -> None:
    remember_source(tmp_path, DIGEST, tmp_path)
    (note,) = (tmp_path / "cache" / "sources").iterdir()
    note.write_text("{")
    assert recall_source(tmp_path, {"dataset": {"digest": DIGEST}}) is None


def test_where_nothing_can_be_written_nothing_is_noted(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    remember_source(tmp_path, DIGEST, tmp_path)
    assert recall_source(tmp_path, {"dataset": {"digest": DIGEST}}) is None
