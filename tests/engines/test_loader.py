"""A variant proves itself before it serves."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import fake_bundle, grey

from viewfinder.engines.loader import load_variant
from viewfinder.errors import BundleError
from viewfinder.registry.bundle import MANIFEST, Bundle, describe


def _with_variant(bundle: Bundle, **changes: Any) -> Bundle:
    path = bundle.folder / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["variants"][0] |= changes
    path.write_text(json.dumps(manifest))
    return Bundle.read(bundle.folder)


def _with_golden(bundle: Bundle, confidence: float) -> Bundle:
    data = grey(0)
    (bundle.folder / "black.png").write_bytes(data)
    file = describe("black.png", data).model_dump()
    sample = {"file": file, "top": [{"index": 0, "confidence": confidence}]}
    return _with_variant(bundle, golden={"tolerance": 0.01, "samples": [sample]})


def test_the_recommended_variant_is_loaded(store: Path) -> None:
    assert load_variant(fake_bundle(store), threads=1).variant.name == "only"


def test_a_checksum_that_differs_is_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    (bundle.folder / "graph.json").write_text('{"classes": 15, "milliseconds": 0}')
    with pytest.raises(BundleError, match="checksum"):
        load_variant(bundle, threads=1)


def test_golden_samples_that_agree_are_accepted(store: Path) -> None:
    load_variant(_with_golden(fake_bundle(store), 0.9993), threads=1)


def test_golden_samples_that_disagree_are_refused(store: Path) -> None:
    with pytest.raises(BundleError, match=r"black\.png is off by 0\.499"):
        load_variant(_with_golden(fake_bundle(store), 0.5), threads=1)


def test_labels_that_are_not_the_graphs_are_refused(store: Path) -> None:
    bundle = fake_bundle(store)
    path = bundle.folder / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["labels"].pop()
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="16 classes, the manifest 15 labels"):
        load_variant(Bundle.read(bundle.folder), threads=1)


def test_a_geometry_that_is_not_the_graphs_is_refused(store: Path) -> None:
    bundle = _with_variant(fake_bundle(store), preprocess={"width": 9, "height": 8})
    with pytest.raises(BundleError, match="input size"):
        load_variant(bundle, threads=1)
