"""What comes with an exported graph: labels, geometry, an example, a photo and a description."""

import json
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from viewfinder import __version__
from viewfinder.conversion import metadata
from viewfinder.conversion.metadata import as_lines
from viewfinder.conversion.metadata_tables import LABELS, Facts
from viewfinder.pipelines.exporting.choice import is_foreign
from viewfinder.pipelines.exporting.example import example
from viewfinder.pipelines.exporting.names import GEOMETRY, MAIN
from viewfinder.pipelines.exporting.readme import license_of, readme
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant


def describe(bundle: Bundle, variant: Variant, folder: Path) -> None:
    """Write all that comes with the graph."""
    foreign = is_foreign(bundle)
    if variant.format == "litert":
        graph = folder / MAIN["litert"]
        graph.write_bytes(metadata.with_metadata(graph.read_bytes(), _facts(bundle, variant)))
    labels = [label.name for label in bundle.manifest.labels]
    (folder / LABELS).write_text(as_lines(labels), "utf-8")
    (folder / GEOMETRY).write_text(json.dumps(_geometry(bundle, variant), indent=1) + "\n")
    (folder / "example.py").write_text(example(variant, foreign=foreign), "utf-8")
    photo = _example_photo(bundle, variant, folder)
    (folder / "README.md").write_text(readme(bundle, variant, folder, photo), "utf-8")


def _geometry(bundle: Bundle, variant: Variant) -> dict[str, Any]:
    return {
        "model": bundle.manifest.name,
        "version": bundle.manifest.version,
        "variant": variant.name,
        "format": variant.format,
        **variant.preprocess.model_dump(mode="json"),
        "scaling": variant.scaling.model_dump(mode="json") if variant.scaling else None,
        "output": variant.output,
        **variant.calibration.model_dump(mode="json"),
    }


def _example_photo(bundle: Bundle, variant: Variant, folder: Path) -> str:
    """Write one of the photos that prove the version, if it has any; else name one to be put in."""
    for sample in variant.golden.samples:
        name = f"example{PurePosixPath(sample.file.path).suffix}"
        shutil.copyfile(bundle.verified(sample.file), folder / name)
        return name
    return "photo.jpg"


def _facts(bundle: Bundle, variant: Variant) -> Facts:
    manifest = bundle.manifest
    labels = tuple(label.name for label in manifest.labels)
    facts = Facts(
        name=manifest.name,
        version=str(manifest.version),
        description=f"Tells {len(labels)} classes of photos apart. Variant: {variant.name}.",
        author=None if is_foreign(bundle) else f"Viewfinder {__version__}",
        labels=labels,
        output=variant.output,
        channels=variant.preprocess.channels,
        license=license_of(bundle),
    )
    if variant.scaling is None:
        return facts
    return replace(facts, mean=variant.scaling.mean, std=variant.scaling.std)
