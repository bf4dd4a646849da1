"""What is published has been proved: every variant, not only the one that serves."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.broken import edit
from tests.support import fake_bundle, grey, run_command

from viewfinder.errors import BundleError
from viewfinder.pipelines.publish import publish, verify
from viewfinder.registry.bundle import describe
from viewfinder.registry.store import look, open_store

BLACK = {"index": 0, "confidence": 0.9993}  # what the fake engine says of a black photo


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A bundle with the variants `only`, which is recommended, and `second`; both have a photo."""
    folder = fake_bundle(tmp_path / "elsewhere", "shoes").folder
    (folder / "black.png").write_bytes(grey(0))
    sample = {"file": describe("black.png", grey(0)).model_dump(), "top": [BLACK]}

    def add(document: Any) -> None:
        first = document["variants"][0]
        first["golden"] = {"tolerance": 0.01, "samples": [sample]}
        document["variants"].append({**first, "name": "second"})

    edit(folder, add)
    return folder


def _falsify(folder: Path, variant: int) -> None:
    def change(document: Any) -> None:
        golden = json.loads(json.dumps(document["variants"][variant]["golden"]))
        golden["samples"][0]["top"][0]["confidence"] = 0.5
        document["variants"][variant]["golden"] = golden

    edit(folder, change)


def _needs_onnx(folder: Path, variant: int) -> None:
    edit(folder, lambda d: d["variants"][variant].update(engine="onnx", format="onnx"))


def _without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = None  # which Python takes for "there is no such module"
    monkeypatch.setitem(sys.modules, "onnxruntime", nothing)


def test_a_bundle_whose_variants_all_agree_is_published(source: Path, tmp_path: Path) -> None:
    store, notes = open_store(str(tmp_path / "models"), tmp_path), list[str]()
    assert publish(store, source, note=notes.append).manifest.version == 1
    assert verify(look(store), "shoes", 1, note=notes.append) is None
    assert notes == []


@pytest.mark.parametrize(("variant", "named"), [(0, "only"), (1, "second")])
def test_a_variant_that_disagrees_with_its_golden_samples_is_not_published(
    source: Path, tmp_path: Path, variant: int, named: str
) -> None:
    _falsify(source, variant)
    store = open_store(str(tmp_path / "models"), tmp_path)
    with pytest.raises(BundleError, match=f"the variant {named}: .* is off by 0.499"):
        publish(store, source)
    assert not (tmp_path / "models").exists()


def test_verify_names_the_variant_that_is_broken(source: Path, tmp_path: Path) -> None:
    _falsify(source, 1)
    shutil.copytree(source, tmp_path / "models" / "shoes" / "1")
    catalog = look(open_store(str(tmp_path / "models"), tmp_path))
    problem = verify(catalog, "shoes", 1)
    assert problem is not None
    assert "the variant second: " in problem


def test_a_variant_whose_engine_is_not_there_is_left_out_and_that_is_said(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needs_onnx(source, 1)
    _without_onnx(monkeypatch)
    store, notes = open_store(str(tmp_path / "models"), tmp_path), list[str]()
    publish(store, source, note=notes.append)
    said = "second was not tried: ONNX Runtime is not installed (pip install 'viewfinder[onnx]')"
    assert notes == [said]
    assert verify(look(store), "shoes", 1, note=notes.append) is None
    assert notes == [said, said]


def test_the_recommended_variant_has_to_be_tried(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needs_onnx(source, 0)
    _without_onnx(monkeypatch)
    notes: list[str] = []
    with pytest.raises(BundleError, match="the variant only: "):
        publish(open_store(str(tmp_path / "models"), tmp_path), source, note=notes.append)
    assert notes == []


def test_the_command_says_which_variant_is_wrong(source: Path, tmp_path: Path) -> None:
    _falsify(source, 1)
    done = run_command("models", "publish", source, home=tmp_path)
    assert done.returncode == 1
    assert "the variant second: " in done.stderr
    assert not (tmp_path / "models").exists()
