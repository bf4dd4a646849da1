"""A store in a folder: versions that come and go, and routing that several change."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support import fake_bundle

from viewfinder.errors import BundleError, StoreError
from viewfinder.registry.bundle import MANIFEST
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.folder import FolderStore
from viewfinder.registry.routing import ROUTING, Routing
from viewfinder.registry.scanning import scan
from viewfinder.registry.store import look, open_store

# Sets many aliases, one at a time, each to its own number.
SETTER = """
import sys
from pathlib import Path
from viewfinder.registry.folder import FolderStore
store, who = FolderStore(Path(sys.argv[1])), sys.argv[2]
sys.stdin.read()  # until all are ready
for number in range(1, 101):
    store.route("shoes", lambda routing: routing.with_alias(f"{who}-{number}", number))
"""


def _add(store: FolderStore, source: Path, version: int, name: str = "shoes") -> None:
    bundle = fake_bundle(source, name, version)
    store.add(bundle.manifest, {"graph.json": (bundle.folder / "graph.json").read_bytes()})


@pytest.fixture
def folder(store: Path) -> FolderStore:
    return FolderStore(store)


def _route(store: Path, text: str) -> Path:
    path = store / "shoes" / ROUTING
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_an_address_is_a_folder(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "models"), tmp_path)
    assert isinstance(store, FolderStore)
    assert list(look(store).models) == ["efficientnet-lite0"]


@pytest.mark.parametrize("address", ["", "ftp://host/models", "http://host"])
def test_an_address_of_another_kind_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(StoreError, match="neither a folder nor s3"):
        open_store(address, tmp_path)


def test_a_version_that_is_added_is_there_and_cannot_be_added_again(
    folder: FolderStore, tmp_path: Path
) -> None:
    _add(folder, tmp_path, 1)
    assert list(look(folder).versions("shoes")) == [1]
    with pytest.raises(BundleError, match="exists already"):
        folder.add(
            fake_bundle(tmp_path / "again", "shoes", 1).manifest,
            {"graph.json": (tmp_path / "again" / "shoes" / "1" / "graph.json").read_bytes()},
        )


def test_a_version_that_is_removed_is_gone_and_so_is_a_model_without_any(
    folder: FolderStore, tmp_path: Path
) -> None:
    for version in (1, 2):
        _add(folder, tmp_path, version)
    folder.remove("shoes", 2)
    assert list(look(folder).versions("shoes")) == [1]
    folder.remove("shoes", 1)
    folder.remove("shoes", 1)  # which changes nothing
    assert "shoes" not in look(folder).models
    assert list(folder.folder.iterdir()) == []


def test_what_is_half_removed_is_not_a_version_any_more(
    folder: FolderStore, tmp_path: Path
) -> None:
    _add(folder, tmp_path, 1)
    # As it lies there when the process ends between the rename and the deletion.
    (folder.folder / ".gone-x").mkdir()
    (folder.folder / "shoes" / "1").rename(folder.folder / ".gone-x" / "1")
    assert list(scan([folder.folder]).models) == []


def test_versions_that_come_and_go_disturb_no_look(folder: FolderStore, tmp_path: Path) -> None:
    ended = threading.Event()
    fake_bundle(folder.folder, "hats", 1)

    def churn() -> None:
        try:
            for version in range(1, 101):
                _add(folder, tmp_path, version)
                folder.remove("shoes", version)
        finally:
            ended.set()

    thread = threading.Thread(target=churn)
    thread.start()
    while not ended.is_set():
        assert list(scan([folder.folder]).versions("hats")) == [1]
    thread.join(20)
    assert list(scan([folder.folder]).models) == ["hats"]


def test_an_alias_that_is_set_counts_at_the_next_look(folder: FolderStore, tmp_path: Path) -> None:
    for version in (1, 2):
        _add(folder, tmp_path, version)
    folder.route("shoes", lambda routing: routing.with_alias("stable", 1))
    catalog = look(folder)
    assert catalog.aliases("shoes") == {"latest": 2, "stable": 1}
    assert catalog.resolve("shoes").manifest.version == 1
    assert catalog.resolve("shoes@stable").manifest.version == 1
    folder.route("shoes", lambda routing: routing.without_alias("stable"))
    assert look(folder, catalog).resolve("shoes").manifest.version == 2


def test_the_routing_of_another_model_is_left_alone(folder: FolderStore) -> None:
    folder.route("shoes", lambda routing: routing.with_alias("stable", 1))
    folder.route("hats", lambda routing: routing.with_alias("stable", 2))
    routes = scan([folder.folder]).routes
    assert {name: dict(route.routing.aliases) for name, route in routes.items()} == {
        "shoes": {"stable": 1},
        "hats": {"stable": 2},
    }


def test_a_change_that_fails_changes_nothing(folder: FolderStore) -> None:
    folder.route("shoes", lambda routing: routing.with_alias("stable", 1))

    def fail(_: Routing) -> Routing:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folder.route("shoes", fail)
    assert folder.route("shoes", lambda routing: routing).aliases == {"stable": 1}


def test_processes_that_change_the_routing_at_once_lose_nothing(folder: FolderStore) -> None:
    setters = [
        subprocess.Popen(
            [sys.executable, "-c", SETTER, str(folder.folder), who], stdin=subprocess.PIPE
        )
        for who in ("one", "two", "three")
    ]
    for setter in setters:
        assert setter.stdin is not None
        setter.stdin.close()
    assert [setter.wait(120) for setter in setters] == [0, 0, 0]
    aliases = scan([folder.folder]).route("shoes").routing.aliases
    assert aliases == {f"{who}-{n}": n for who in ("one", "two", "three") for n in range(1, 101)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema_version": 2}',
        '{"schema_version": 1, "aliases": {"latest": 1}}',
        '{"schema_version": 1, "aliases": {"stable": "one"}}',
        '{"schema_version": 1, "surprise": 1}',
        '{"schema_version": 1, "traffic": {"split": [{"version": 1, "percent": 5}]}}',
        "[" * 100_000,
        '{"schema_version": 1' + " " * 1024 * 1024 + "}",
    ],
)
def test_where_the_routing_is_damaged_what_counted_before_goes_on_to_count(
    store: Path, text: str
) -> None:
    for version in (1, 2):
        fake_bundle(store, "shoes", version)
    _route(store, '{"schema_version": 1, "aliases": {"stable": 1}}')
    good = scan([store])
    assert good.route("shoes").problem is None
    path = _route(store, text)
    damaged = scan([store], good)
    assert damaged.resolve("shoes").manifest.version == 1
    assert "damaged" in str(damaged.route("shoes").problem)
    assert scan([store], damaged).resolve("shoes").manifest.version == 1
    with pytest.raises(StoreError, match="damaged; mend or delete it"):
        FolderStore(store).route("shoes", lambda routing: routing.with_alias("stable", 2))
    assert path.read_text() == text

    _route(store, '{"schema_version": 1, "aliases": {"stable": 2}}')
    mended = scan([store], damaged)
    assert mended.resolve("shoes").manifest.version == 2
    assert mended.route("shoes").problem is None


def test_routing_that_is_no_file_is_damaged_and_not_waited_for(store: Path) -> None:
    fake_bundle(store, "shoes", 1)
    os.mkfifo(store / "shoes" / ROUTING)
    catalog = scan([store])
    assert catalog.resolve("shoes").manifest.version == 1
    assert "damaged" in str(catalog.route("shoes").problem)
    with pytest.raises(StoreError, match="damaged"):
        FolderStore(store).route("shoes", lambda routing: routing)


def test_routing_that_is_deleted_counts_no_more(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, "shoes", version)
    path = _route(store, '{"schema_version": 1, "aliases": {"stable": 1}}')
    before = scan([store])
    path.unlink()
    assert scan([store], before).resolve("shoes").manifest.version == 2


def test_what_is_unchanged_is_not_read_again(store: Path) -> None:
    for version in (1, 2):
        fake_bundle(store, "shoes", version)
    _route(store, '{"schema_version": 1, "aliases": {"stable": 1}}')
    first = scan([store])
    fake_bundle(store, "shoes", 3)
    second = scan([store], first)
    for version in (1, 2):
        assert second.entry("shoes", version) is first.entry("shoes", version)
    assert second.route("shoes") is first.route("shoes")
    assert list(second.versions("shoes")) == [1, 2, 3]


def test_what_was_found_out_about_a_version_stays_until_that_changes(store: Path) -> None:
    bundle = fake_bundle(store, "shoes", 1)
    found_out = scan([store]).without(bundle, "it does not work")
    assert scan([store], found_out).entry("shoes", 1).problem == "it does not work"
    (bundle.folder / "graph.json").write_text('{"classes": 16}')
    assert scan([store], found_out).entry("shoes", 1).problem is None


def _touched(catalog: Catalog, store: Path) -> bool:
    return scan([store], catalog).entry("shoes", 1) is not catalog.entry("shoes", 1)


def test_whatever_changes_in_a_version_it_is_read_again(store: Path) -> None:
    folder = fake_bundle(store, "shoes", 1).folder
    seen = scan([store])
    assert not _touched(seen, store)

    status = (folder / "graph.json").stat()
    os.utime(folder / "graph.json", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert _touched(seen, store)

    seen = scan([store])
    (folder / "golden").mkdir()
    (folder / "golden" / "cat.jpg").write_bytes(b"")
    assert _touched(seen, store)

    seen = scan([store])
    (folder / "golden" / "cat.jpg").unlink()
    assert _touched(seen, store)

    seen = scan([store])
    document = json.loads((folder / MANIFEST).read_text()) | {"evaluation": {"accuracy": 1}}
    (folder / MANIFEST).write_text(json.dumps(document))
    changed = scan([store], seen)
    assert changed.bundle("shoes", 1).digest != seen.bundle("shoes", 1).digest


def test_a_store_that_cannot_be_read_is_not_an_empty_one(store: Path, tmp_path: Path) -> None:
    fake_bundle(store, "shoes", 1)
    store.rename(tmp_path / "elsewhere")
    store.symlink_to(store)  # a circle: nobody, not even root, can read that
    with pytest.raises(StoreError, match="cannot read the model store"):
        scan([store])


def test_a_model_that_cannot_be_read_keeps_its_versions_and_hides_no_other(
    store: Path, tmp_path: Path
) -> None:
    fake_bundle(store, "shoes", 1)
    seen = scan([store])
    (store / "shoes").rename(tmp_path / "elsewhere")
    (store / "shoes").symlink_to(store / "shoes")
    fake_bundle(store, "hats", 1)
    catalog = scan([store], seen)
    assert list(catalog.models) == ["hats", "shoes"]
    assert catalog.entry("shoes", 1) is seen.entry("shoes", 1)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    store = FolderStore(tmp_path / "models" / "inside")
    with pytest.raises(StoreError, match="cannot write the model store: Not a directory"):
        _add(store, tmp_path / "source", 1)
    with pytest.raises(StoreError, match="cannot write the model store"):
        store.route("shoes", lambda routing: routing)
