"""Foreign ONNX graphs: channels first, scaled floats, fixed batches, and what is refused."""

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


def test_tensorrt_keeps_what_it_compiles_and_falls_back_on_cuda(tmp_path: Path) -> None:
    from viewfinder.engines.onnx import _providers

    options = EngineOptions(threads=1, device="tensorrt", cache=tmp_path)
    (tensorrt, settings), *rest = _providers(options)
    assert [tensorrt, *rest] == [
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert settings["trt_engine_cache_path"] == settings["trt_timing_cache_path"] == str(tmp_path)
