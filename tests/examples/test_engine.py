"""The engine of `examples/engine`, from a folder of photos to answers, as its page says."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from tests.plugins import install_example
from tests.support import PHOTOS, environment, photo, run_command, serving

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.loader import engine_module
from viewfinder.errors import BundleError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package is installed, for this process and those that a test starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    install_example(folder, "engine")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.startswith("viewfinder_colours")]:
        monkeypatch.delitem(sys.modules, name)  # that of another test's folder
    return folder


def _make(home: Path, photos: Path) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "viewfinder_colours", photos, "--to", home / "bundles"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return made.stdout.strip()


@pytest.mark.usefixtures("site")
def test_a_model_of_it_is_made_published_proved_and_served(tmp_path: Path) -> None:
    published = run_command("models", "publish", _make(tmp_path, PHOTOS), home=tmp_path)
    assert published.returncode == 0, published.stderr
    assert run_command("models", "verify", "colours@1", home=tmp_path).returncode == 0
    with serving(tmp_path, "--model", "colours") as server:
        for path in sorted(PHOTOS.glob("*.jpg")):
            answer = httpx2.post(
                f"{server.url}/v1/classify",
                files={"file": path.read_bytes()},
                params={"model": "colours"},
                timeout=60,
                trust_env=False,
            ).json()
            assert answer["class"] == path.stem
            assert answer["model"] == {"name": "colours", "version": 1, "variant": "centroids"}
        metrics = httpx2.get(f"{server.url}/metrics", timeout=60, trust_env=False).text
        assert 'model="colours"' in metrics
        assert server.stop() == 0


def test_golden_photos_guard_it_and_without_its_package_it_says_what_it_needs(
    tmp_path: Path, site: Path
) -> None:
    made = Path(_make(tmp_path, PHOTOS))
    manifest = json.loads((made / "bundle.json").read_text())
    manifest["variants"][0]["golden"]["samples"][0]["top"][0]["confidence"] = 0.5
    (made / "bundle.json").write_text(json.dumps(manifest))
    refused = run_command("models", "publish", made, home=tmp_path)
    assert refused.returncode == 1
    assert "the golden sample golden/0.jpg is off by" in refused.stderr
    shutil.rmtree(site)
    lacking = run_command("models", "publish", made, home=tmp_path)
    assert lacking.returncode == 1
    assert "the model needs the engine 'colours', which no installed package" in lacking.stderr


@pytest.mark.usefixtures("site")
def test_a_folder_is_a_class_and_its_photos_are_one_together(tmp_path: Path) -> None:
    for label, names in {"shoe": ("sandal", "running-shoe"), "coffee": ("espresso",)}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for name in names:
            shutil.copy(PHOTOS / f"{name}.jpg", tmp_path / "photos" / label)
    made = Path(_make(tmp_path, tmp_path / "photos"))
    manifest = json.loads((made / "bundle.json").read_text())
    assert [label["name"] for label in manifest["labels"]] == ["coffee", "shoe"]
    assert len(manifest["variants"][0]["golden"]["samples"]) == 2
    assert (made / "golden" / "0.jpg").read_bytes() == photo("espresso.jpg")


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "content",
    [
        _npz(other=np.zeros((2, 64), np.float32)),
        _npz(centroids=np.zeros((2, 64))),
        _npz(centroids=np.zeros((2, 63), np.float32)),
        _npz(centroids=np.zeros((0, 64), np.float32)),
        _npz(centroids=np.full((2, 64), np.nan, np.float32)),
        _npz(centroids=np.float32(1)),
        _npz(centroids=np.zeros((100_000, 64), np.float32)),
    ],
    ids=["no array", "float64", "width", "empty", "nan", "scalar", "huge"],
)
def test_a_file_that_is_no_graph_of_it_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "colours.npz"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"colours\.npz"):
        engine_module("colours").load(path, EngineOptions(threads=1))


class _Code:
    """What a pickle would run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.mark.usefixtures("site")
def test_a_pickle_in_its_place_is_not_run(tmp_path: Path) -> None:
    path, ran = tmp_path / "colours.npz", tmp_path / "ran"
    path.write_bytes(_npz(centroids=np.array([_Code(ran)], dtype=object)))
    with pytest.raises(BundleError, match=r"colours\.npz is not a graph"):
        engine_module("colours").load(path, EngineOptions(threads=1))
    assert not ran.exists()
