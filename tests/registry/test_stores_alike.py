"""What every model store promises, wherever it keeps the versions."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.support import fake_bundle

from viewfinder.errors import BundleError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Manifest
from viewfinder.registry.routing import Routing
from viewfinder.registry.store import ModelStore, look, open_store

Open = Callable[[], ModelStore]


@pytest.fixture(params=["folder", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store each time, as another machine would."""
    address = str(tmp_path / "models")
    if request.param == "s3":
        address = f"s3://{request.getfixturevalue('bucket')}/some/models"
    homes = iter(range(100))
    return lambda: open_store(address, tmp_path / f"home-{next(homes)}")


def _version(
    scratch: Path, version: int = 1, *, classes: int = 16
) -> tuple[Manifest, dict[str, bytes]]:
    bundle = fake_bundle(scratch / f"of-{classes}", "shoes", version, classes=classes)
    return bundle.manifest, {"graph.json": (bundle.folder / "graph.json").read_bytes()}


def test_a_store_that_nobody_has_written_to_is_empty(opened: Open) -> None:
    assert "shoes" not in look(opened()).models


def test_what_one_publishes_everybody_can_read(opened: Open, tmp_path: Path) -> None:
    manifest, files = _version(tmp_path)
    published = opened().add(manifest, files)
    assert published.manifest == manifest
    published.verify()
    found = look(opened()).bundle("shoes", 1)
    found.verify()
    assert found.digest == published.digest


def test_a_version_is_written_once(opened: Open, tmp_path: Path) -> None:
    store = opened()
    first = store.add(*_version(tmp_path))
    for another in (store, opened()):
        with pytest.raises(BundleError, match="exists already"):
            another.add(*_version(tmp_path, classes=4))
    assert look(opened()).bundle("shoes", 1).digest == first.digest


def test_a_manifest_must_describe_the_files(opened: Open, tmp_path: Path) -> None:
    manifest, files = _version(tmp_path)
    with pytest.raises(BundleError, match="exactly these files"):
        opened().add(manifest, {**files, "more.bin": b""})
    assert "shoes" not in look(opened()).models


def test_of_many_publishers_of_one_version_one_wins(opened: Open, tmp_path: Path) -> None:
    together = threading.Barrier(4)
    versions = [_version(tmp_path, classes=classes) for classes in (2, 3, 4, 5)]

    def publish(version: tuple[Manifest, dict[str, bytes]]) -> Bundle | None:
        store = opened()
        together.wait(20)
        try:
            return store.add(*version)
        except BundleError:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [bundle for bundle in pool.map(publish, versions) if bundle is not None]
    assert len(won) == 1
    found = look(opened()).bundle("shoes", 1)
    found.verify()
    assert found.digest == won[0].digest


def test_what_one_deletes_is_gone_for_everybody(opened: Open, tmp_path: Path) -> None:
    store, another = opened(), opened()
    for version in (1, 2):
        store.add(*_version(tmp_path, version))
    assert list(look(another).versions("shoes")) == [1, 2]
    store.remove("shoes", 1)
    store.remove("shoes", 1)
    store.remove("hats", 1)
    assert list(look(another).versions("shoes")) == [2]
    another.remove("shoes", 2)
    assert "shoes" not in look(store).models


def test_a_deleted_version_can_be_published_anew(opened: Open, tmp_path: Path) -> None:
    store, another = opened(), opened()
    store.add(*_version(tmp_path))
    look(another)
    store.remove("shoes", 1)
    anew = store.add(*_version(tmp_path, classes=4))
    found = look(another).bundle("shoes", 1)
    found.verify()
    assert found.digest == anew.digest


def test_everybody_sees_the_routing(opened: Open, tmp_path: Path) -> None:
    store, another = opened(), opened()
    store.add(*_version(tmp_path))
    changed = store.route("shoes", lambda routing: routing.with_alias("stable", 1))
    assert changed.aliases == {"stable": 1}
    assert look(another).route("shoes").routing == changed
    another.route("shoes", lambda routing: routing.without_alias("stable"))
    assert look(store).route("shoes").routing == Routing()


def test_no_change_of_the_routing_is_lost(opened: Open) -> None:
    together = threading.Barrier(4)

    def change(number: int) -> None:
        store = opened()
        together.wait(20)
        for turn in range(3):
            store.route("shoes", partial(Routing.with_alias, alias=f"a-{number}-{turn}", version=1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    store = opened()
    kept = store.route("shoes", lambda routing: routing)
    assert len(kept.aliases) == 12


def test_a_change_that_fails_changes_nothing(opened: Open) -> None:
    store = opened()
    store.route("shoes", lambda routing: routing.with_alias("stable", 1))

    def fail(routing: Routing) -> Routing:
        raise BundleError(str(routing))

    with pytest.raises(BundleError):
        store.route("shoes", fail)
    assert store.route("shoes", lambda routing: routing).aliases == {"stable": 1}
