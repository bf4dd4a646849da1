"""What a person is to know of an exported graph."""

from collections.abc import Iterator
from pathlib import Path

from viewfinder import __version__
from viewfinder.conversion.metadata_tables import LABELS
from viewfinder.pipelines.exporting.example import packages
from viewfinder.pipelines.exporting.names import GEOMETRY, MAIN, SAVED_MODEL
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant

_TITLES = {
    "litert": "LiteRT",
    "onnx": "ONNX",
    "openvino": "OpenVINO",
    "saved_model": "TensorFlow (SavedModel)",
}
_TELEMETRY = {
    "onnx": """\
`onnxruntime` tells Microsoft of each graph that it loads, unless `ORT_DISABLE_TELEMETRY=1` is in
the environment.
""",
    "openvino": """\
`import openvino` tells Google Analytics that it happened, unless the file
`~/intel/openvino_telemetry` holds a 0.
""",
}


def license_of(bundle: Bundle) -> str | None:
    """Of the weights, where it is known."""
    weights = bundle.manifest.provenance.get("weights")
    found = weights.get("license") if isinstance(weights, dict) else None
    return str(found) if found else None


def readme(bundle: Bundle, variant: Variant, folder: Path, photo: str) -> str:
    """The page that comes with a graph.

    Args:
        bundle: The version.
        variant: Which of its graphs.
        folder: Where the files are, as they will be given away.
        photo: The name of one to try it with.
    """
    graph = MAIN.get(variant.format, f"{SAVED_MODEL}/")
    facts = "\n".join(f"- {fact}" for fact in _known(bundle, variant, folder))
    telemetry = _TELEMETRY.get(variant.format)
    about = "\n" + telemetry if telemetry else ""
    return f"""\
# {bundle.manifest.called} for {_TITLES[variant.format]}

An image classifier, variant `{variant.name}`, exported by Viewfinder {__version__}. The graph is
`{graph}`; `{LABELS}` names its classes, `{GEOMETRY}` says what pixels it is to see, and
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
    pixels = "as bytes, 0-255" if variant.scaling is None else f"scaled as `{GEOMETRY}` says"
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
    if license_ := license_of(bundle):
        yield f"Licence of the weights: {license_}."


def _graph_bytes(folder: Path) -> int:
    beside = {LABELS, GEOMETRY, "example.py"}
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name not in beside and path.stem != "example"
    )
