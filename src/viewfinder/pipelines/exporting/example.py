"""The example that an exported graph comes with: one photo, its three best classes.

It needs no Viewfinder, and does what Viewfinder does: the same geometry, the same softmax. It is
written for the graph at hand, so that it shows no more than that needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.manifest import Variant


@dataclass(frozen=True, slots=True)
class _Runtime:
    """How a format's graphs are run.

    Attributes:
        package: What brings it.
        imports: Its lines among the imports.
        run: For a graph of Viewfinder's own: `pixels` to `scores`.
        load: For a graph of any kind: `graph`, and `image`, which describes its input.
        shape: The shape of that input.
        ask: `batch` to `scores`.
    """

    package: str
    imports: str
    run: str
    load: str
    shape: str
    ask: str


_RUNTIMES: Mapping[str, _Runtime] = {
    "litert": _Runtime(
        package="ai-edge-litert",
        imports="from ai_edge_litert.interpreter import Interpreter\n",
        run="""\
graph = Interpreter(str(here / "model.tflite")).get_signature_runner()
scores = graph(image=pixels[np.newaxis])["logits"][0]
""",
        load="""\
graph = Interpreter(str(here / "model.tflite"))
graph.allocate_tensors()
(image,), (answer,) = graph.get_input_details(), graph.get_output_details()
""",
        shape='image["shape"]',
        ask="""\
(scale, zero), kind = image["quantization"], image["dtype"]
if scale and batch.dtype == np.float32:  # it takes whole numbers that stand for these
    batch = np.clip(np.round(batch / scale) + zero, np.iinfo(kind).min, np.iinfo(kind).max)
graph.set_tensor(image["index"], batch.astype(kind))
graph.invoke()
scores = graph.get_tensor(answer["index"]).reshape(-1).astype(np.float32)
if answer["quantization"][0]:
    scores = (scores - answer["quantization"][1]) * answer["quantization"][0]
""",
    ),
    "onnx": _Runtime(
        package="onnxruntime",
        imports="import onnxruntime\n",
        run="""\
graph = onnxruntime.InferenceSession(here / "model.onnx", providers=["CPUExecutionProvider"])
scores = graph.run(None, {graph.get_inputs()[0].name: pixels[np.newaxis]})[0][0]
""",
        load="""\
graph = onnxruntime.InferenceSession(here / "model.onnx", providers=["CPUExecutionProvider"])
(image,) = graph.get_inputs()
""",
        shape="image.shape",
        ask="""\
if image.type == "tensor(float16)":
    batch = batch.astype(np.float16)
scores = graph.run(None, {image.name: batch})[0].reshape(-1).astype(np.float32)
""",
    ),
    "openvino": _Runtime(
        package="openvino",
        imports="import openvino\n",
        run="""\
exact = {"INFERENCE_PRECISION_HINT": "f32"}
graph = openvino.Core().compile_model(here / "model.xml", "CPU", exact)
scores = graph(pixels[np.newaxis])[0][0]
""",
        load="""\
exact = {"INFERENCE_PRECISION_HINT": "f32"}
graph = openvino.Core().compile_model(here / "model.xml", "CPU", exact)
image = graph.inputs[0]
""",
        shape="image.partial_shape",
        ask="""\
scores = graph(batch.astype(image.element_type.to_dtype()))[0].reshape(-1).astype(np.float32)
""",
    ),
    "saved_model": _Runtime(
        package="tensorflow",
        imports="import tensorflow as tf\n",
        run="""\
graph = tf.saved_model.load(here / "saved_model").signatures["serving_default"]
scores = graph(image=tf.constant(pixels[np.newaxis]))["logits"][0].numpy()
""",
        load="""\
graph = tf.saved_model.load(here / "saved_model").signatures["serving_default"]
((name, image),) = graph.structured_input_signature[1].items()
""",
        shape="image.shape",
        ask="""\
(answer,) = graph(**{name: tf.cast(batch, image.dtype)}).values()
scores = answer.numpy().reshape(-1).astype(np.float32)
""",
    ),
}

_HEAD = '''\
"""The three best classes of a photo:  python example.py photo.jpg

It needs: pip install {packages}
"""

import json
import sys
from pathlib import Path

{imports}
here = Path(__file__).parent
facts = json.loads((here / "geometry.json").read_text("utf-8"))
labels = (here / "labels.txt").read_text("utf-8").splitlines()
photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
'''
_SCALE = """\
scaling = facts["scaling"]
pixels = (pixels - np.float32(scaling["mean"])) / np.float32(scaling["std"])
"""
_CHANNELS = """\
batch = pixels[np.newaxis]
if {shape}[3] != 3:  # it takes channels first
    batch = batch.transpose(0, 3, 1, 2)
"""
_ODDS = {
    "logits": 'odds = np.exp((scores - scores.max()) / facts["temperature"])\n',
    "probabilities": 'odds = scores.clip(0) ** (1 / facts["temperature"])\n',
}
_TAIL = """\
for best in odds.argsort()[:-4:-1]:
    print(f"{labels[best]} {odds[best] / odds.sum():.1%}")
"""


def packages(format_: str) -> str:
    """What the example of a format needs, for `pip install`."""
    return f"{_RUNTIMES[format_].package} numpy pillow"


def example(variant: Variant, *, foreign: bool) -> str:
    """The text of `example.py`.

    Args:
        variant: The graph that lies beside it.
        foreign: Whether it may want something else than uint8 `[N, H, W, 3]`.
    """
    runtime = _RUNTIMES[variant.format]
    lines = ["import numpy as np", *runtime.imports.splitlines(), "from PIL import Image, ImageOps"]
    lines.sort(key=lambda line: (line.startswith("from"), line.split()[1].lower()))
    return "".join(
        (
            _HEAD.format(packages=packages(variant.format), imports="\n".join(lines) + "\n"),
            _resize(variant.preprocess),
            _SCALE if variant.scaling is not None else "",
            runtime.load + _CHANNELS.format(shape=runtime.shape) + runtime.ask
            if foreign
            else runtime.run,
            _ODDS[variant.output],
            _TAIL,
        )
    )


def _resize(spec: PreprocessSpec) -> str:
    """`photo` to `pixels`, as `imaging.geometry.to_input` does it."""
    to = f"photo, ({spec.width}, {spec.height}), Image.Resampling.{spec.interpolation.upper()}"
    match spec.resize:
        case "crop":
            resized = f"ImageOps.fit({to}, bleed={(1 - spec.crop_fraction) / 2!r})"
        case "stretch":
            resized = f"photo.resize({to.removeprefix('photo, ')})"
        case "pad":
            # In the middle, an odd pixel at the end: 0.5 would round to the nearest even.
            resized = f"ImageOps.pad({to}, centering=(0.4999, 0.4999))"
    order = "" if spec.channels == "rgb" else "[:, :, ::-1]"
    return f"pixels = np.asarray({resized}){order}\n"
