"""A variant proves itself before it serves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import as_npy, fake_bundle, grey

from viewfinder.engines.loader import load_variant
from viewfinder.errors import BundleError
from viewfinder.registry.bundle import MANIFEST, Bundle, describe, write_bundle
from viewfinder.registry.manifest import Features
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan


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


# The weights of a head

IDENTITY = np.eye(16, dtype=np.float32)


def test_the_weights_of_a_head_are_loaded(store: Path) -> None:
    head = load_variant(fake_bundle(store, head=IDENTITY), threads=1).head
    assert head is not None
    assert np.array_equal(head, IDENTITY)


def test_without_weights_there_is_no_head(store: Path) -> None:
    assert load_variant(fake_bundle(store), threads=1).head is None


def test_weights_that_were_changed_are_refused(store: Path) -> None:
    bundle = fake_bundle(store, head=IDENTITY)
    (bundle.folder / "head.npy").write_bytes(as_npy(2 * IDENTITY))
    with pytest.raises(BundleError, match=r"head\.npy is not what bundle\.json says"):
        load_variant(bundle, threads=1)


@pytest.mark.parametrize("shape", [(15, 16), (16, 15)])
def test_weights_of_another_shape_are_refused(store: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match=r"\[16, 16\]"):
        load_variant(fake_bundle(store, head=np.zeros(shape, np.float32)), threads=1)


def test_what_is_no_head_is_refused(store: Path) -> None:
    with pytest.raises(BundleError, match="does not hold the weights of a head"):
        load_variant(fake_bundle(store, head=b"no array"), threads=1)


def test_a_head_without_a_feature_map_is_refused(store: Path) -> None:
    shipped = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)
    weights = as_npy(np.zeros((1280, 1000), np.float32))
    features = Features(weights=describe("head.npy", weights))
    variant = shipped.manifest.variant().model_copy(update={"features": features})
    manifest = shipped.manifest.model_copy(update={"variants": (variant,)})
    files = shipped.contents() | {"head.npy": weights}
    bundle = write_bundle(store / BUILTIN_MODEL / "1", manifest, files)
    with pytest.raises(BundleError, match="the graph no feature map"):
        load_variant(bundle, threads=1)


def test_a_manifest_without_the_field_is_what_it_was(store: Path) -> None:
    text = (fake_bundle(store).folder / MANIFEST).read_text()
    assert "features" not in text
