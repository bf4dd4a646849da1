"""Foreign ONNX graphs: channels first, scaled floats, fixed batches, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.engines.base import EngineOptions
from viewfinder.errors import BundleError, MissingExtraError
from viewfinder.registry.manifest import Scaling

pytestmark = [pytest.mark.train, pytest.mark.onnx]

SCALING = Scaling(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def _graph(path: Path, *, batch: int | str, nodes: Any = None, weights: Any = ()) -> Path:
    """A graph of float32 `[batch, 3, 4, 5]` whose three scores are the mean of each channel."""
    from onnx import TensorProto, helper

    mean = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 4, 5])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])
    graph = helper.make_graph(nodes or mean, "mean", [image], [scores], list(weights))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def _load(path: Path, **options: Any) -> Any:
    from viewfinder.engines.onnx import load

    return load(path, EngineOptions(threads=1, scaling=SCALING, **options))


@pytest.mark.parametrize("batch", ["n", 1, 2, 8])
def test_a_foreign_graph_answers_a_batch_of_five(batch: int | str, tmp_path: Path) -> None:
    engine = _load(_graph(tmp_path / "model.onnx", batch=batch))
    assert engine.input_shape == (4, 5, 3)
    assert engine.classes == 3
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 5, 3), dtype=np.uint8)
    expected = (images.mean(axis=(1, 2)) - np.array(SCALING.mean)) / np.array(SCALING.std)
    assert engine.predict(images) == pytest.approx(expected, abs=1e-5)


def test_a_foreign_graph_without_scaling_is_refused(tmp_path: Path) -> None:
    from viewfinder.engines.onnx import load

    path = _graph(tmp_path / "model.onnx", batch=1)
    with pytest.raises(BundleError, match="no scaling"):
        load(path, EngineOptions(threads=1))


def test_nobody_is_told_of_a_graph(tmp_path: Path) -> None:
    path = _graph(tmp_path / "model.onnx", batch=1)
    program = """
import sys
from pathlib import Path
from viewfinder.engines.base import EngineOptions
from viewfinder.engines.onnx import load
from viewfinder.registry.manifest import Scaling
scaling = Scaling(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
assert load(Path(sys.argv[1]), EngineOptions(threads=1, scaling=scaling)).classes == 3
"""
    # Where CI=1, it tells nobody by itself. It begins by giving the machine a name, in a file.
    given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(path)], env=given, check=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("way", ["relative", "absolute", "link"])
def test_weights_outside_of_the_bundle_are_not_read(way: str, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    bundle, secret = tmp_path / "bundle", tmp_path / "secret"
    bundle.mkdir()
    secret.write_bytes(bytes(12))
    (bundle / "link").symlink_to(secret)
    (bundle / "inside").write_bytes(bytes(12))
    place = {"relative": "../secret", "absolute": str(secret), "link": "link"}[way]
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["scores"]),
    ]

    def weights(location: str) -> Any:
        tensor = TensorProto(name="bias", data_type=TensorProto.FLOAT, dims=[3])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "12")):
            tensor.external_data.add(key=key, value=value)
        return [tensor]

    path = bundle / "model.onnx"
    with pytest.raises(BundleError, match="is not a graph"):
        _load(_graph(path, batch=1, nodes=nodes, weights=weights(place)))
    assert _load(_graph(path, batch=1, nodes=nodes, weights=weights("inside"))).classes == 3


def test_a_compiled_engine_and_an_unknown_operation_are_refused(tmp_path: Path) -> None:
    from onnx import helper

    compiled = [helper.make_node("EPContext", ["image"], ["scores"], domain="com.microsoft")]
    with pytest.raises(BundleError, match="compiled engine"):
        _load(_graph(tmp_path / "model.onnx", batch=1, nodes=compiled))
    unknown = [helper.make_node("Mine", ["image"], ["scores"], domain="com.microsoft")]
    with pytest.raises(BundleError, match="is not a graph"):
        _load(_graph(tmp_path / "model.onnx", batch=1, nodes=unknown))


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_is_not_there_is_said(device: str, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built for GPUs")
    with pytest.raises(MissingExtraError, match=r"pip install 'viewfinder\[onnx-gpu\]'"):
        _load(_graph(tmp_path / "model.onnx", batch=1), device=device)


# -- what TensorRT is told, which a machine without it can say


def _told(wanted: Any = None) -> dict[str, Any]:
    from viewfinder.engines.onnx import _providers

    (tensorrt, settings), *rest = _providers("tensorrt", wanted)
    assert [tensorrt, *rest] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    return dict(settings)


def _compilation(path: Path, **options: Any) -> Any:
    from viewfinder.engines.onnx import _compilation

    return _compilation(path, path.read_bytes(), EngineOptions(1, device="tensorrt", **options))


def _quantized(path: Path, batch: int | str = "n") -> Path:
    """The same graph with its pixels once through int8."""
    from onnx import helper, numpy_helper

    steps = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["near"]),
        helper.make_node("GlobalAveragePool", ["near"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["scores"]),
    ]
    weights = [
        numpy_helper.from_array(np.array(0.02, np.float32), "scale"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
    ]
    return _graph(path, batch=batch, nodes=steps, weights=weights)


def test_a_cpu_and_cuda_are_told_nothing() -> None:
    from viewfinder.engines.onnx import _providers

    assert _providers("cpu") == ["CPUExecutionProvider"]
    assert _providers("cuda") == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_half_precision_always_and_int8_for_graphs_that_say_what_is_int8(tmp_path: Path) -> None:
    settings = _told(_compilation(_graph(tmp_path / "float.onnx", batch="n")))
    assert (settings["trt_fp16_enable"], settings["trt_int8_enable"]) == (True, False)
    settings = _told(_compilation(_quantized(tmp_path / "int8.onnx")))
    assert (settings["trt_fp16_enable"], settings["trt_int8_enable"]) == (True, True)
    assert not {name for name in settings if "calibration" in name}


def test_one_engine_serves_every_length_of_batch(tmp_path: Path) -> None:
    graph = _graph(tmp_path / "model.onnx", batch="n")
    settings = _told(_compilation(graph))
    assert settings["trt_profile_min_shapes"] == "image:1x3x4x5"
    assert settings["trt_profile_opt_shapes"] == "image:32x3x4x5"
    assert settings["trt_profile_max_shapes"] == "image:32x3x4x5"
    longer = _told(_compilation(graph, device_batch=128))
    assert longer["trt_profile_max_shapes"] == "image:128x3x4x5"


def test_a_graph_with_a_fixed_batch_needs_no_profile(tmp_path: Path) -> None:
    settings = _told(_compilation(_graph(tmp_path / "model.onnx", batch=8)))
    assert not {name for name in settings if "profile" in name}


def test_compiled_engines_of_two_trainings_are_kept_apart(tmp_path: Path) -> None:
    cache = tmp_path / "compiled"
    first = _graph(tmp_path / "first" / "model.onnx", batch="n")
    second = _quantized(tmp_path / "second" / "model.onnx")
    folders = [
        Path(_told(_compilation(graph, cache=cache))["trt_engine_cache_path"])
        for graph in (first, second, first)
    ]
    assert folders[0] == folders[2] != folders[1]
    assert all(folder.is_dir() for folder in folders)
    settings = _told(_compilation(second, cache=cache))
    assert Path(settings["trt_timing_cache_path"]) == folders[0].parent
    # Another release of the runtime has another folder.
    assert "onnxruntime" in folders[0].parent.name
    assert "==" in folders[0].parent.name


def test_where_nothing_can_be_kept_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    graph = _graph(tmp_path / "model.onnx", batch="n")
    for cache in (None, tmp_path / "file"):
        assert not {name for name in _told(_compilation(graph, cache=cache)) if "cache" in name}


def test_what_tensorrt_cannot_take_as_a_whole_is_opened_without_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from viewfinder.engines import onnx

    tried: list[dict[str, Any]] = []

    def refuse_profiles(_path: Path, _settings: Any, providers: list[Any]) -> str:
        tried.append(providers[0][1])
        if "trt_profile_min_shapes" in tried[-1]:
            raise RuntimeError("profiles of all inputs are needed")
        return "a session"

    wanted = _compilation(_quantized(tmp_path / "model.onnx"))
    monkeypatch.setattr(onnx, "_open", refuse_profiles)
    assert onnx._compiled(tmp_path / "model.onnx", None, wanted) == "a session"
    assert ["trt_profile_min_shapes" in settings for settings in tried] == [True, False]
    assert tried[1]["trt_int8_enable"]


def test_an_int8_graph_answers_on_a_cpu(tmp_path: Path) -> None:
    engine = _load(_quantized(tmp_path / "model.onnx"))
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    expected = (images.mean(axis=(1, 2)) - np.array(SCALING.mean)) / np.array(SCALING.std)
    assert engine.predict(images) == pytest.approx(expected, abs=0.02)
