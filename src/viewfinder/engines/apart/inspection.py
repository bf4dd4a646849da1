"""What a foreign graph says of itself and does with photos, found out in a process of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.apart.process import answer_apart, run_apart
from viewfinder.engines.base import Engine, EngineOptions
from viewfinder.engines.loader import engine_module
from viewfinder.errors import BundleError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.manifest import Scaling
from viewfinder.settings import Limits

# Somebody waits for it, and can press Ctrl-C. Importing TensorFlow alone takes seconds of a core,
# and many times that where others are at work.
_GIVEN_UP_S = 900
_AS_THEY_ARE = Scaling(mean=(0, 0, 0), std=(1, 1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What was found.

    Attributes:
        height: Of the graph's input, in pixels.
        width: Of the graph's input, in pixels.
        wants_floats: Whether pixels must be scaled for it.
        scores: float32 `[photos, classes]`, what it gave.
    """

    height: int
    width: int
    wants_floats: bool
    scores: NDArray[np.float32]

    @property
    def classes(self) -> int:
        """How many classes the graph tells apart."""
        return int(self.scores.shape[1])


def inspect(
    path: Path,
    *,
    engine: str,
    scaling: Scaling | None,
    geometry: dict[str, Any],
    photos: list[Path],
) -> Inspection:
    """Load a foreign graph and show it photos.

    Args:
        path: The graph.
        engine: Which engine runs it.
        scaling: What to do with the pixels; None leaves them as they are.
        geometry: The fields of a `PreprocessSpec` but its size, which the graph decides.
        photos: Image files.

    Raises:
        BundleError: The graph cannot be served, and why.
    """
    question = {
        "path": str(path.resolve()),
        "engine": engine,
        "scaling": scaling.model_dump() if scaling else None,
        "geometry": geometry,
        "photos": [str(photo) for photo in photos],
        "device": "cpu",
    }
    answer = run_apart("viewfinder.engines.apart.inspection", question, patience_s=_GIVEN_UP_S)
    scores = np.array(answer.pop("scores"), np.float32)
    return Inspection(**answer, scores=scores)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    given = question["scaling"]
    engine, wants_floats = _load(
        Path(question["path"]), question["engine"], Scaling(**given) if given else None
    )
    height, width, _ = engine.input_shape
    spec = PreprocessSpec(width=width, height=height, **question["geometry"])
    pixels = [preprocess(Path(p).read_bytes(), spec, Limits()) for p in question["photos"]]
    return {
        "height": height,
        "width": width,
        "wants_floats": wants_floats,
        "scores": engine.predict(np.stack(pixels)).tolist(),
    }


def _load(path: Path, name: str, scaling: Scaling | None) -> tuple[Engine, bool]:
    load = engine_module(name).load
    try:
        engine = load(path, EngineOptions(threads=1, scaling=scaling))
    except BundleError:
        if scaling is not None:
            raise
        return load(path, EngineOptions(threads=1, scaling=_AS_THEY_ARE)), True
    return engine, scaling is not None


if __name__ == "__main__":
    answer_apart(_answer, niceness=0)
