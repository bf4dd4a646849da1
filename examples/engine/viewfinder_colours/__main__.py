"""Makes a bundle of a folder of photos: `python -m viewfinder_colours PHOTOS --to FOLDER`."""

import argparse
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import EngineOptions, to_confidence
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import (
    Calibration,
    ExpectedScore,
    Golden,
    GoldenSample,
    Label,
    Manifest,
    Variant,
)
from viewfinder.settings import Limits

from .engine import ARRAY, SIZE, ColourEngine, shares

GEOMETRY = PreprocessSpec(width=SIZE, height=SIZE, resize="stretch")
TEMPERATURE = 0.1
GRAPH = "colours.npz"


def read_photos(folder: Path) -> dict[str, list[Path]]:
    """The photos of each class: a folder each, or a photo each that lies beside them."""
    classes: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png"}):
        label = path.stem if path.parent == folder else path.parent.name
        classes.setdefault(label, []).append(path)
    return classes


def make_bundle(photos: Path, name: str, store: Path) -> Bundle:
    """Take the mean of each class, and let the first photo of each prove what it answers."""
    classes = read_photos(photos)
    if not classes:
        raise SystemExit(f"there are no photos in {photos}")
    means = [np.mean([_shares(path) for path in paths], axis=0) for paths in classes.values()]
    centroids = np.array(means, np.float32)
    graph = io.BytesIO()
    np.savez(graph, allow_pickle=False, **{ARRAY: centroids})
    files = {GRAPH: graph.getvalue()}
    golden = []
    for number, paths in enumerate(classes.values()):
        inner = f"golden/{number}{paths[0].suffix}"
        files[inner] = paths[0].read_bytes()
        top = (_answer(centroids, paths[0]),)
        golden.append(GoldenSample(file=describe(inner, files[inner]), top=top))
    variant = Variant(
        name="centroids",
        format="npz",
        engine="colours",
        file=describe(GRAPH, files[GRAPH]),
        preprocess=GEOMETRY,
        calibration=Calibration(temperature=TEMPERATURE),
        golden=Golden(tolerance=0.01, samples=tuple(golden)),
    )
    manifest = Manifest(
        name=name,
        version=1,
        created=datetime.now(UTC),
        labels=tuple(Label(name=label) for label in classes),
        variants=(variant,),
        recommended=variant.name,
        provenance={"made_by": "viewfinder-colours"},
    )
    return write_bundle(store / name / "1", manifest, files)


def _answer(centroids: NDArray[np.float32], photo: Path) -> ExpectedScore:
    """The best class of a photo, as serving will have it."""
    scores = ColourEngine(centroids, EngineOptions(threads=1)).predict(_pixels(photo))
    confidence = to_confidence(scores, output="logits", temperature=TEMPERATURE)[0]
    best = int(confidence.argmax())
    return ExpectedScore(index=best, confidence=float(confidence[best]))


def _shares(photo: Path) -> NDArray[np.float32]:
    row: NDArray[np.float32] = shares(_pixels(photo))[0]
    return row


def _pixels(photo: Path) -> NDArray[np.uint8]:
    """A batch of one, uint8 `[1, 64, 64, 3]`: by the way that serving goes."""
    return preprocess(photo.read_bytes(), GEOMETRY, Limits())[np.newaxis]


def main() -> None:
    """Make one, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder for each class, or a photo for each")
    parser.add_argument("--name", default="colours", help="of the model")
    parser.add_argument("--to", type=Path, default=Path("bundles"), help="where to")
    given = parser.parse_args()
    print(make_bundle(given.photos, given.name, given.to).folder)


if __name__ == "__main__":
    main()
