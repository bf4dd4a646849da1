"""How fast a variant is, told by a process that may crash over it."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.engines.bundles import builtin
from tests.support import fake_bundle

from viewfinder.engines.apart.timing import time_variant
from viewfinder.errors import BundleError, MissingExtraError
from viewfinder.registry.bundle import MANIFEST, Bundle

PYTHON_BYTES = 10_000_000


def _changed(tmp_path: Path, **changes: Any) -> Bundle:
    """The builtin model with another manifest."""
    folder = tmp_path / "changed"
    shutil.copytree(builtin().folder, folder)
    document = json.loads((folder / MANIFEST).read_text())
    document["variants"][0].update(changes)
    (folder / MANIFEST).write_text(json.dumps(document))
    return Bundle.open(folder)


def test_a_real_variant_is_timed() -> None:
    found = time_variant(builtin(), "int8", threads=2)
    assert found.p50_ms > 0
    assert found.throughput > 0
    assert found.load_ms > 0
    assert found.peak_bytes > PYTHON_BYTES


def test_a_call_takes_as_long_as_it_takes(store: Path) -> None:
    bundle = fake_bundle(store, milliseconds=20, max_useful_batch=8, device="gpu")
    found = time_variant(bundle, "only", threads=2)
    assert found.p50_ms >= 20
    assert 0 < found.throughput <= 2 * 8 * 1000 / 20


def test_a_variant_that_disagrees_with_its_golden_samples_is_refused(tmp_path: Path) -> None:
    golden = builtin().manifest.variant().golden.model_dump(mode="json")
    golden["samples"][0]["top"][0]["confidence"] = 0.0
    with pytest.raises(BundleError, match="is off by"):
        time_variant(_changed(tmp_path, golden=golden), "int8", threads=1)


def test_a_crash_ends_another_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = fake_bundle(store)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BundleError, match="ended with status 1"):
        time_variant(bundle, "only", threads=1)


def test_an_engine_that_is_not_installed_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _changed(tmp_path, engine="onnx", format="onnx")
    nothing: Any = None  # which Python takes for "there is no such module"
    monkeypatch.setitem(sys.modules, "onnxruntime", nothing)
    with pytest.raises(MissingExtraError, match=r"pip install 'viewfinder\[onnx\]'"):
        time_variant(bundle, "int8", threads=1)
