"""Model stores made for a benchmark: copies of the default model, and a model that does nothing."""

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import MANIFEST, describe, write_bundle
from viewfinder.registry.manifest import Golden, Label, Manifest, Variant
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE

_CLASSES = 16


def publish_copy(store: Path, name: str, version: int) -> None:
    """Let a version appear that is the default model under another name, whole from the start."""
    place = store / name / str(version)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".partial-") as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(BUILTIN_STORE / BUILTIN_MODEL / "1", copy)
        manifest = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_text(json.dumps({**manifest, "name": name, "version": version}))
        copy.rename(place)


def withdraw(store: Path, name: str, version: int) -> None:
    """Let a version disappear at once."""
    with tempfile.TemporaryDirectory(dir=store, prefix=".partial-") as scratch:
        (store / name / str(version)).rename(Path(scratch) / "gone")


def publish_fake(store: Path, name: str, *, milliseconds: float = 0) -> None:
    """Write a model for the fake engine, which takes no time unless told: the server is measured.

    Args:
        store: The folder of all models.
        name: Of the model.
        milliseconds: What each photo takes, without work for the processor.
    """
    graph = json.dumps({"classes": _CLASSES, "milliseconds": milliseconds}).encode()
    variant = Variant(
        name="only",
        format="fake",
        engine="fake",
        file=describe("graph.json", graph),
        preprocess=PreprocessSpec(width=8, height=8),
        golden=Golden(tolerance=0.01),
    )
    manifest = Manifest(
        name=name,
        version=1,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        labels=tuple(Label(name=f"step-{number}") for number in range(_CLASSES)),
        variants=(variant,),
        recommended="only",
        provenance={},
    )
    write_bundle(store / name / "1", manifest, {"graph.json": graph})
