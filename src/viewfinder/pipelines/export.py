"""One graph of a version for somewhere else: alone, or with all that running it needs."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from viewfinder import __version__
from viewfinder.conversion import metadata
from viewfinder.conversion.metadata import as_lines
from viewfinder.conversion.metadata_tables import LABELS, Facts
from viewfinder.conversion.outputs import scores_only
from viewfinder.errors import ConflictError, ConversionError, InvalidParameterError
from viewfinder.pipelines.example import example, packages
from viewfinder.pipelines.original import original_backbone, original_model
from viewfinder.pipelines.variants.graphs import FLOAT32
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant

Format = Literal["litert", "onnx", "openvino", "saved_model"]
FORMATS: Mapping[str, Format] = {
    "litert": "litert",
    "onnx": "onnx",
    "openvino": "openvino",
    "saved-model": "saved_model",
}
"""What graphs can be exported as, by the names that people use."""

_TITLES = {
    "litert": "LiteRT",
    "onnx": "ONNX",
    "openvino": "OpenVINO",
    "saved_model": "TensorFlow (SavedModel)",
}
_MAIN = {"litert": "model.tflite", "onnx": "model.onnx", "openvino": "model.xml"}
_SAVED_MODEL = "saved_model"
_GEOMETRY = "geometry.json"
_TELEMETRY = """\
`import openvino` tells Google Analytics that it happened, unless the file
`~/intel/openvino_telemetry` holds a 0.
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        variant: The name of the graph.
        made: Whether it was made for this from the version's weights.
        files: The bytes of each file, by its path in the folder.
    """

    folder: Path
    variant: str
    made: bool
    files: Mapping[str, int]


def export_graph(
    bundle: Bundle, format_: Format, *, variant: str | None, with_metadata: bool, folder: Path
) -> Exported:
    """Write one graph into a folder of its own, which is there whole or not at all.

    Without a name, it is the recommended variant if that has the format, else the most accurate one
    that has it, else a graph that is made from the version's weights.

    Args:
        bundle: The version.
        format_: Of the graph.
        variant: Which one.
        with_metadata: Whether labels, geometry, an example and a description come with it.
        folder: Where to; it does not exist yet, or is empty.

    Raises:
        BundleError: A file of the version is not what was sealed.
        ConflictError: There is something in the folder.
        ConversionError: No variant has the format, and none can be made.
        InvalidParameterError: The version has no such variant, or it has another format.
        MissingExtraError: What makes such a graph is not installed.
    """
    _check_free(folder)
    chosen = _choose(bundle, format_, variant)
    made = chosen is None
    if chosen is None:
        _check_made_here(bundle, format_)
        chosen = _float_variant(bundle, format_)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        if made:
            _convert(original_model(bundle), format_, partial)
        else:
            _copy(bundle, chosen, partial)
            if chosen.features is not None:
                graph = partial / _MAIN[chosen.format]
                graph.write_bytes(scores_only(graph.read_bytes()))
        if with_metadata:
            _describe(bundle, chosen, partial)
        files = {
            path.relative_to(partial).as_posix(): path.stat().st_size
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        try:
            partial.rename(folder)
        except OSError as error:  # somebody was quicker
            raise ConflictError(f"{folder} is there by now; nothing is overwritten") from error
    return Exported(folder, chosen.name, made, files)


def _check_free(folder: Path) -> None:
    if folder.name == "..":
        raise ConflictError("give a folder by its own name, not by '..'")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConflictError(f"{folder} is not a folder; nothing is overwritten")
    if folder.exists() and any(folder.iterdir()):
        raise ConflictError(f"{folder} is not empty; nothing is overwritten")
    if folder.exists() and folder.samefile(Path.cwd()):
        # It would be replaced, and whoever is in it would see the old one.
        raise ConflictError("give a folder of its own, not the one you are in")


def _choose(bundle: Bundle, format_: Format, name: str | None) -> Variant | None:
    """The variant to export; None if none has the format."""
    manifest = bundle.manifest
    if name is not None:
        try:
            named = manifest.variant(name)
        except KeyError as error:
            known = ", ".join(f"{one.name} ({one.format})" for one in manifest.variants)
            raise InvalidParameterError(
                f"{_called(bundle)} has no variant '{name}'; it has {known}"
            ) from error
        if named.format != format_:
            raise InvalidParameterError(f"the variant '{name}' is {named.format}, not {format_}")
        return named
    fitting = [one for one in manifest.variants if one.format == format_]
    if manifest.variant() in fitting:
        return manifest.variant()
    return max(fitting, key=_worth, default=None)


def _worth(variant: Variant) -> tuple[float, bool, bool]:
    """The more accurate, and of two that are as accurate the more exact."""
    accuracy = -1.0 if variant.accuracy is None else variant.accuracy
    return accuracy, variant.name == FLOAT32, variant.name.startswith("float")


def _is_foreign(bundle: Bundle) -> bool:
    try:
        original_backbone(bundle)
    except ConversionError:
        return True
    return False


def _check_made_here(bundle: Bundle, format_: Format) -> None:
    if _is_foreign(bundle):
        held = sorted({one.format for one in bundle.manifest.variants})
        raise ConversionError(
            f"{_called(bundle)} was not trained by Viewfinder: it can be exported only as "
            f"{' or '.join(held)}, which it holds, not as {format_}"
        )


def _float_variant(bundle: Bundle, format_: Format) -> Variant:
    """What is known of a graph that is made from the weights."""
    manifest = bundle.manifest
    float32 = next((one for one in manifest.variants if one.name == FLOAT32), None)
    return (float32 or manifest.variant()).model_copy(
        update={
            "name": FLOAT32,
            "format": format_,
            "accuracy": float32.accuracy if float32 else None,
            "latency": None,
        }
    )


def _convert(model: Any, format_: Format, folder: Path) -> None:
    """Make the graph; each converter brings TensorFlow, which takes seconds."""
    match format_:
        case "litert":
            from viewfinder.conversion.litert import to_litert

            (folder / _MAIN[format_]).write_bytes(to_litert(model))
        case "onnx":
            from viewfinder.conversion.onnx import to_onnx

            (folder / _MAIN[format_]).write_bytes(to_onnx(model))
        case "openvino":
            from viewfinder.conversion.openvino import to_openvino

            to_openvino(model, folder / _MAIN[format_])
        case "saved_model":
            from viewfinder.conversion.saved_model import to_saved_model

            to_saved_model(model, folder / _SAVED_MODEL)


def _copy(bundle: Bundle, variant: Variant, folder: Path) -> None:
    """Write the graph's files, under the names that people expect."""
    main = PurePosixPath(variant.file.path)
    for file in (variant.file, *variant.assets):
        inner = PurePosixPath(file.path).relative_to(main.parent)
        if variant.format == "saved_model":
            target = folder / _SAVED_MODEL / inner
        elif file is variant.file:
            target = folder / _MAIN[variant.format]
        elif variant.format == "openvino":
            target = (folder / _MAIN[variant.format]).with_suffix(inner.suffix)
        else:  # the graph names it
            target = folder / inner
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.verified(file), target)


def _describe(bundle: Bundle, variant: Variant, folder: Path) -> None:
    """Write all that comes with the graph."""
    foreign = _is_foreign(bundle)
    if variant.format == "litert":
        graph = folder / _MAIN["litert"]
        graph.write_bytes(metadata.with_metadata(graph.read_bytes(), _facts(bundle, variant)))
    labels = [label.name for label in bundle.manifest.labels]
    (folder / LABELS).write_text(as_lines(labels), "utf-8")
    (folder / _GEOMETRY).write_text(json.dumps(_geometry(bundle, variant), indent=1) + "\n")
    (folder / "example.py").write_text(example(variant, foreign=foreign), "utf-8")
    photo = _example_photo(bundle, variant, folder)
    (folder / "README.md").write_text(_readme(bundle, variant, folder, photo), "utf-8")


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
        author=None if _is_foreign(bundle) else f"Viewfinder {__version__}",
        labels=labels,
        output=variant.output,
        channels=variant.preprocess.channels,
        license=_license(bundle),
    )
    if variant.scaling is None:
        return facts
    return replace(facts, mean=variant.scaling.mean, std=variant.scaling.std)


def _license(bundle: Bundle) -> str | None:
    """Of the weights, where it is known."""
    weights = bundle.manifest.provenance.get("weights")
    found = weights.get("license") if isinstance(weights, dict) else None
    return str(found) if found else None


def _readme(bundle: Bundle, variant: Variant, folder: Path, photo: str) -> str:
    graph = _MAIN.get(variant.format, f"{_SAVED_MODEL}/")
    facts = "\n".join(f"- {fact}" for fact in _known(bundle, variant, folder))
    about = "\n" + _TELEMETRY if variant.format == "openvino" else ""
    return f"""\
# {_called(bundle)} for {_TITLES[variant.format]}

An image classifier, variant `{variant.name}`, exported by Viewfinder {__version__}. The graph is
`{graph}`; `{LABELS}` names its classes, `{_GEOMETRY}` says what pixels it is to see, and
`example.py` does it:

```sh
pip install {packages(variant.format)}
python example.py {photo}
```

{facts}

Lay a photo with transparency on white first.
{about}"""


def _known(bundle: Bundle, variant: Variant, folder: Path) -> Iterator[str]:
    """What a person wants to know first."""
    spec, calibration, latency = variant.preprocess, variant.calibration, variant.latency
    how = f"{spec.resize} {spec.crop_fraction:g}" if spec.resize == "crop" else spec.resize
    pixels = "as bytes, 0-255" if variant.scaling is None else f"scaled as `{_GEOMETRY}` says"
    yield (
        f"Input: {spec.width} x {spec.height} {spec.channels.upper()}, {how}, "
        f"{spec.interpolation}; pixels {pixels}."
    )
    yield f"Output: {variant.output} of {len(bundle.manifest.labels)} classes."
    if variant.output == "logits":
        yield f"Confidence: softmax of the logits, divided by {calibration.temperature:g}."
    if calibration.abstain_below is not None:
        yield f'Under a confidence of {calibration.abstain_below:.2f}, say "I don\'t know".'
    yield f"Size: {_graph_bytes(folder) / 1e6:.1f} MB."
    if variant.accuracy is None:
        yield "Accuracy: not measured."
    else:
        yield f"Accuracy: right for {variant.accuracy:.1%} of the validation photos."
    if latency is not None:
        yield f"Speed: {latency.p50_ms:g} ms a photo in one thread of {latency.machine}."
    if license_ := _license(bundle):
        yield f"Licence of the weights: {license_}."


def _graph_bytes(folder: Path) -> int:
    beside = {LABELS, _GEOMETRY, "example.py"}
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name not in beside and path.stem != "example"
    )


def _called(bundle: Bundle) -> str:
    return f"{bundle.manifest.name}@{bundle.manifest.version}"
