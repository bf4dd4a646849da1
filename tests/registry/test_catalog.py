"""Which models there are, and which a caller means."""

from pathlib import Path

import pytest
from tests.support import fake_bundle

from viewfinder.errors import ModelNotFoundError, NotReadyError, VersionNotFoundError
from viewfinder.registry.bundle import MANIFEST
from viewfinder.registry.scanning import scan


def test_versions_are_found_in_ascending_order_and_strangers_are_ignored(store: Path) -> None:
    for version in (2, 10, 1):
        fake_bundle(store, "shoes", version)
    (store / "shoes" / "notes").mkdir()
    (store / "Loud Name" / "1").mkdir(parents=True)
    (store / "readme.txt").write_text("hello")
    catalog = scan([store])
    assert list(catalog.models) == ["shoes"]
    assert list(catalog.versions("shoes")) == [1, 2, 10]


def test_a_store_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert not scan([tmp_path / "none"]).models


def test_a_half_written_version_does_not_exist(store: Path) -> None:
    fake_bundle(store, "shoes", 1)
    (store / "shoes" / "2").mkdir()
    (store / "shoes" / "2" / "graph.json").write_text("{}")
    assert list(scan([store]).versions("shoes")) == [1]


def test_a_broken_version_is_listed_with_its_problem_and_hides_no_other(store: Path) -> None:
    fake_bundle(store, "shoes", 1)
    (fake_bundle(store, "shoes", 2).folder / MANIFEST).write_text("{")
    catalog = scan([store])
    assert "not valid" in str(catalog.entry("shoes", 2).problem)
    assert catalog.resolve("shoes").manifest.version == 1
    with pytest.raises(NotReadyError):
        catalog.resolve("shoes@2")


def test_the_first_store_counts_where_two_hold_the_same_version(
    store: Path, tmp_path: Path
) -> None:
    first = fake_bundle(store, "shoes", 1)
    fake_bundle(tmp_path / "second", "shoes", 1, classes=3)
    fake_bundle(tmp_path / "second", "shoes", 2)
    catalog = scan([store, tmp_path / "second"])
    assert catalog.bundle("shoes", 1) == first
    assert list(catalog.versions("shoes")) == [1, 2]


def test_a_bare_name_and_latest_mean_the_highest_version(store: Path) -> None:
    for version in (1, 3, 2):
        fake_bundle(store, "shoes", version)
    catalog = scan([store])
    assert catalog.resolve("shoes").manifest.version == 3
    assert catalog.resolve("shoes@latest").manifest.version == 3
    assert catalog.resolve("shoes@2").manifest.version == 2
    assert catalog.aliases("shoes") == {"latest": 3}
    assert catalog.labels_count("shoes") == 16


@pytest.mark.parametrize("text", ["hats", "", "../../etc", "hats@1", "a@b@c"])
def test_an_unknown_model_is_not_found_and_the_error_names_those_there_are(
    store: Path, text: str
) -> None:
    fake_bundle(store, "shoes")
    with pytest.raises(ModelNotFoundError, match="shoes") as caught:
        scan([store]).resolve(text)
    assert ".." not in caught.value.detail


@pytest.mark.parametrize("text", ["shoes@2", "shoes@stable"])
def test_an_unknown_version_or_alias_is_not_found(store: Path, text: str) -> None:
    fake_bundle(store, "shoes")
    with pytest.raises(VersionNotFoundError):
        scan([store]).resolve(text)


def test_a_model_without_a_good_version_is_not_ready(store: Path) -> None:
    (fake_bundle(store, "shoes").folder / MANIFEST).write_text("{")
    catalog = scan([store])
    assert catalog.labels_count("shoes") is None
    for text in ("shoes", "shoes@latest"):
        with pytest.raises(NotReadyError):
            catalog.resolve(text)
