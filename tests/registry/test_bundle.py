"""A bundle is written once, read with its checksums, and refused when anything is off."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_bundle

from viewfinder.errors import BundleError
from viewfinder.registry.bundle import MANIFEST, Bundle, write_bundle


def _edit(bundle: Bundle, **changes: Any) -> None:
    path = bundle.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_variant(bundle: Bundle, **changes: Any) -> None:
    (variant,) = json.loads((bundle.folder / MANIFEST).read_text())["variants"]
    _edit(bundle, variants=[variant | changes])


def test_what_was_written_is_read_back(store: Path) -> None:
    written = fake_bundle(store, "shoes", 7)
    assert Bundle.read(store / "shoes" / "7") == written
    assert written.manifest.variant().name == "only"
    written.verify()


def test_a_version_is_never_written_twice(store: Path) -> None:
    bundle = fake_bundle(store)
    files = {"graph.json": (bundle.folder / "graph.json").read_bytes()}
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(bundle.folder, bundle.manifest, files)


@pytest.mark.parametrize("files", [{}, {"graph.json": b"other"}, {"graph.json": None, "x": b""}])
def test_a_manifest_must_describe_exactly_its_files(
    store: Path, files: dict[str, bytes | None]
) -> None:
    bundle = fake_bundle(store, "fake", 1)
    graph = (bundle.folder / "graph.json").read_bytes()
    given = {path: graph if content is None else content for path, content in files.items()}
    place = store / "fake" / "2"
    with pytest.raises(BundleError, match="exactly these files"):
        write_bundle(place, bundle.manifest, given)
    assert [path.name for path in (store / "fake").iterdir()] == ["1"]


def test_a_write_that_breaks_off_leaves_no_version(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        fake_bundle(store)
    monkeypatch.undo()
    assert not list((store / "fake").iterdir())
    fake_bundle(store)


def test_a_changed_file_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    graph = bundle.folder / "graph.json"
    graph.write_bytes(bytes([graph.read_bytes()[0] ^ 1]) + graph.read_bytes()[1:])
    with pytest.raises(BundleError, match="checksum"):
        bundle.verify()


@pytest.mark.parametrize("name", [MANIFEST, "graph.json"])
def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(store: Path, name: str) -> None:
    bundle = fake_bundle(store)
    (bundle.folder / name).unlink()
    os.mkfifo(bundle.folder / name)
    with pytest.raises(BundleError, match="is not a file"):
        Bundle.read(bundle.folder).verify()


def test_a_temperature_that_makes_numbers_overflow_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    _edit_variant(bundle, calibration={"temperature": 1e-300})
    with pytest.raises(BundleError, match="temperature"):
        Bundle.read(bundle.folder)


def test_a_missing_file_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    (bundle.folder / "graph.json").unlink()
    with pytest.raises(BundleError, match=r"graph\.json cannot be read"):
        bundle.verify()


def test_a_link_out_of_the_bundle_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    graph = bundle.folder / "graph.json"
    graph.rename(store / "elsewhere.json")
    graph.symlink_to(store / "elsewhere.json")
    with pytest.raises(BundleError, match="leads out"):
        bundle.verify()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../graph.json", "a/../../b", "", ".", "a\\b", "a\0b"]
)
def test_a_path_out_of_the_bundle_is_refused(store: Path, path: str) -> None:
    bundle = fake_bundle(store)
    _edit_variant(bundle, file={"path": path, "bytes": 1, "sha256": "0" * 64})
    with pytest.raises(BundleError, match="lies inside"):
        Bundle.read(bundle.folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"name": "other"}, r"says other/1, the folder fake/1"),
        ({"version": 2}, r"says fake/2, the folder fake/1"),
        ({"version": 0}, "version"),
        ({"labels": []}, "labels"),
        ({"labels": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"variants": []}, "variants"),
        ({"recommended": "none"}, "recommended"),
        ({"surprise": 1}, "surprise"),
        ({"created": "yesterday"}, "created"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    store: Path, changes: dict[str, Any], why: str
) -> None:
    bundle = fake_bundle(store)
    _edit(bundle, **changes)
    with pytest.raises(BundleError, match=why):
        Bundle.read(bundle.folder)


def test_a_golden_sample_of_a_class_that_is_not_there_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    file = {"path": "graph.json", "bytes": 1, "sha256": "0" * 64}
    sample = {"file": file, "top": [{"index": 16, "confidence": 1}]}
    _edit_variant(bundle, golden={"tolerance": 0.1, "samples": [sample]})
    with pytest.raises(BundleError, match="lacks"):
        Bundle.read(bundle.folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_no_manifest_is_refused(store: Path, text: bytes) -> None:
    bundle = fake_bundle(store)
    (bundle.folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match="not valid"):
        Bundle.read(bundle.folder)
