"""Every engine and precision on an NVIDIA GPU: latency, throughput, loading, and the JPEG wall.

    python -m benchmarks.gpu [--backbone NAME ...] [--device all|cpu] [--seconds 2] [--quick]

Needs the extra `train` to make the graphs, and for the rows of a GPU what docs/engines.md says.
Each row is a process of its own: one that fails tells its error in its place. EfficientNet-Lite has
its ImageNet weights, the others random ones; no graph is quicker for that.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.compute import rate
from benchmarks.harness import ROOT, Figure, parse, parser, photos, save
from viewfinder.engines.base import Device
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle
from viewfinder.settings import Limits
from viewfinder.shared.machine import available_cores

_BACKBONES = ("efficientnet-lite0", "mobilenet-v3-small", "efficientnet-b0", "resnet50")
_BATCHES = (1, 4, 8, 16, 32, 64, 128)
_QUICK_BATCHES = (1, 8)
# TensorRT may compile a large graph for a quarter of an hour.
_PATIENCE_S = 3600
_ERROR_CHARACTERS = 300
_WIDTH = 120
_COLUMNS = (
    "p50 ms",
    "images/s",
    "at batch",
    "served/s",
    "load s",
    "again s",
    "GPU MB",
    "same class",
    "off",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run a backbone.

    Attributes:
        title: As in the table.
        variant: Which graph of `gpu_graphs`.
        device: Where it runs.
        half: Whether TensorRT may compute in half precision, as it does in a server.
    """

    title: str
    variant: str
    device: Device
    half: bool = True


ROWS = (
    Row("LiteRT, CPU, float32", "float32", "cpu"),
    Row("ONNX, CPU, float32", "onnx", "cpu"),
    Row("ONNX, CPU, int8", "onnx-int8", "cpu"),
    Row("TensorFlow, CPU, float32", "saved-model", "cpu"),
    Row("ONNX, CUDA, float32", "onnx", "cuda"),
    Row("ONNX, TensorRT, float32", "onnx", "tensorrt", half=False),
    Row("ONNX, TensorRT, float16", "onnx", "tensorrt"),
    Row("ONNX, TensorRT, int8", "onnx-int8", "tensorrt"),
    Row("TensorFlow, XLA, float32", "saved-model", "cuda"),
    Row("TensorFlow, XLA, mixed float16", "saved-model-fp16", "cuda"),
)


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, seconds=(2, 1))
    options.add_argument("--backbone", action="append", help=f"default {', '.join(_BACKBONES)}")
    options.add_argument("--device", choices=("all", "cpu"), default="all")
    arguments = parse(options)
    gpu = None if arguments.device == "cpu" else gpu_name()
    if gpu is None:
        print("no NVIDIA GPU here: rows that need one are left out")
    rows = [row for row in ROWS if gpu is not None or row.device == "cpu"]
    backbones = arguments.backbone or (_BACKBONES[:1] if arguments.quick else _BACKBONES)
    batches = _QUICK_BATCHES if arguments.quick else _BATCHES
    results = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(backbones) * (len(rows) + 1))
        for result in run(backbones, rows, batches, arguments.seconds):
            results.append(result)
            progress.update(task, advance=1, description=str(result.get("title", "graphs")))
    show(results)
    save("gpu", figures(results), gpu=gpu, results=results)


def run(
    backbones: Sequence[str], rows: Sequence[Row], batches: Sequence[int], seconds: float
) -> Iterator[dict[str, Any]]:
    """For each backbone how fast its photos are decoded, then what was found of each row."""
    for backbone in backbones:
        with tempfile.TemporaryDirectory() as folder:
            made = _ask("benchmarks.gpu_graphs", backbone, folder)
            if made.returncode:
                yield {"backbone": backbone, "error": _error(made)}
                continue
            bundle = Bundle.open(Path(folder) / backbone / "1")
            decoded_per_s = decoding(bundle, seconds)
            yield {"backbone": backbone, "decoded_per_s": decoded_per_s}
            for row in rows:
                question = {
                    "folder": folder,
                    "backbone": backbone,
                    "variant": row.variant,
                    "device": row.device,
                    "half": row.half,
                    "batches": batches,
                    "seconds": seconds,
                }
                done = _ask("benchmarks.gpu_row", json.dumps(question))
                found = (
                    {"error": _error(done)}
                    if done.returncode
                    else {
                        **json.loads(done.stdout.splitlines()[-1]),
                        "decoded_per_s": decoded_per_s,
                    }
                )
                yield {"backbone": backbone, **asdict(row), **found}


def decoding(bundle: Bundle, seconds: float) -> float:
    """Photos per second that all cores decode and resize: no GPU is fed with more."""
    spec = bundle.manifest.variant().preprocess
    return rate(
        lambda photo: preprocess(photo, spec, Limits()),
        photos(),
        threads=available_cores(),
        seconds=seconds,
    )


def figures(results: Sequence[dict[str, Any]]) -> list[Figure]:
    """What a server reaches on a GPU, of what the engine does alone or the cores can decode."""
    found = []
    for result in results:
        if result.get("device", "cpu") == "cpu" or "error" in result:
            continue
        best = min(_best(result), result["decoded_per_s"])
        name = f"{result['backbone']}, {result['title']}: served, of what is possible"
        found.append(Figure(name, result["served_per_s"] / best, at_least=0.8))
    return found


def show(results: Sequence[dict[str, Any]]) -> None:
    """Print a table for each backbone."""
    console = Console(width=_WIDTH)
    for backbone in dict.fromkeys(result["backbone"] for result in results):
        table = Table(title=backbone, title_justify="left", box=None)
        table.add_column(no_wrap=True)
        for column in _COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for result in results:
            if result["backbone"] == backbone:
                table.add_row(*_cells(result))
        console.print(table)
        for result in results:
            if result["backbone"] == backbone and "error" in result:
                console.print(f"{result.get('title', 'graphs')}: {result['error']}", markup=False)


def gpu_name() -> str | None:
    """What the driver calls the first GPU; None where there is none."""
    command = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(iter(done.stdout.splitlines()), None)


def _cells(result: dict[str, Any]) -> list[str]:
    if "error" in result:
        return [result.get("title", "graphs"), "failed"]
    if "title" not in result:
        return ["JPEG decoding, all cores", "", f"{result['decoded_per_s']:.0f}"]
    best = max(result["batches"], key=lambda one: float(one["images_per_s"]))
    return [
        result["title"],
        f"{result['batches'][0]['p50_ms']:.2f}",
        f"{best['images_per_s']:.0f}",
        str(best["batch"]),
        f"{result['served_per_s']:.0f}",
        f"{result['first_load_s']:.1f}",
        f"{result['second_load_s']:.1f}",
        "" if result["gpu_mb"] is None else f"{result['gpu_mb']:.0f}",
        f"{result['same_class']:.0%}",
        f"{result['confidence_off']:.3f}",
    ]


def _best(result: dict[str, Any]) -> float:
    return max(float(one["images_per_s"]) for one in result["batches"])


def _ask(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *arguments]
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"busy after {_PATIENCE_S} seconds")


def _error(done: "subprocess.CompletedProcess[str]") -> str:
    """The last that it said, or by what it died."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else f"it ended with status {done.returncode}")[:_ERROR_CHARACTERS]


if __name__ == "__main__":
    main()
