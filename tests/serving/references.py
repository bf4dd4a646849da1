"""Bundles with a reference, made by the code that trains."""

from collections.abc import Iterable
from pathlib import Path

from viewfinder.datasets.photos import Photo
from viewfinder.engines.loader import load_variant
from viewfinder.evaluation.scoring import reference_of, score
from viewfinder.registry.bundle import Bundle, write_bundle
from viewfinder.settings import Limits


def with_reference(bundle: Bundle, folder: Path, photos: Iterable[bytes], scratch: Path) -> Bundle:
    """A copy of a bundle that knows these photos.

    Args:
        bundle: A model version with one variant.
        folder: `models/<name>/<version>` for the copy.
        photos: Files.
        scratch: A folder for them.
    """
    scratch.mkdir()
    known = []
    for number, data in enumerate(photos):
        known.append(Photo(scratch / f"{number}.jpg", ""))
        known[-1].path.write_bytes(data)
    loaded = load_variant(bundle, threads=2)
    try:
        scored = score(loaded, known, limits=Limits(), threads=2, progress=lambda *_: None)
    finally:
        loaded.engine.close()
    variant, temperature = loaded.variant, loaded.variant.calibration.temperature
    reference = reference_of(scored, output=variant.output, temperature=temperature)
    manifest = bundle.manifest.model_copy(
        update={
            "name": folder.parent.name,
            "version": int(folder.name),
            "variants": (variant.model_copy(update={"reference": reference}),),
        }
    )
    return write_bundle(folder, manifest, bundle.contents())
