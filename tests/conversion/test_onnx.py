"""A float ONNX graph to int8."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from tests.conversion.small import CLASSES, agreement, classifier, pictures

from viewfinder.errors import ConversionError

pytestmark = [
    pytest.mark.train,
    pytest.mark.onnx,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def graph() -> bytes:
    from viewfinder.conversion.onnx import to_onnx

    return to_onnx(classifier())


def test_int8_keeps_the_border_and_the_answers_and_leaves_nothing_behind(
    graph: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import onnxruntime

    from viewfinder.conversion.onnx import quantize_onnx

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    capfd.readouterr()
    photos = pictures(40)
    small = quantize_onnx(graph, list(photos[:16]))
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger().handlers == []
    assert capfd.readouterr() == ("", "")
    assert len(small) < 0.5 * len(graph)

    rows = []
    for made in (graph, small):
        session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
        (image,), (logits,) = session.get_inputs(), session.get_outputs()
        assert (image.type, logits.type) == ("tensor(uint8)", "tensor(float)")
        assert not isinstance(image.shape[0], int)
        (scores,) = session.run(None, {image.name: photos})
        rows.append(scores)
    exact, rounded = rows
    assert rounded.shape == (40, CLASSES)
    assert agreement(exact, rounded) >= 0.85
    assert len(np.unique(rounded)) > 300


def test_every_zero_point_is_nought_and_the_borders_are_float(graph: bytes) -> None:
    import onnx

    from viewfinder.conversion.onnx import quantize_onnx

    model = onnx.load_from_string(quantize_onnx(graph, list(pictures(4))))
    numbers = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantizers) > 4
    for node in quantizers:
        assert numbers[node.input[2]].dtype == np.int8
        assert not numbers[node.input[2]].any()
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    (classifier_layer,) = [n for n in model.graph.node if n.op_type in {"Gemm", "MatMul"}]
    assert made_by.get(classifier_layer.input[1]) is None
    assert all(made_by.get(node.input[0]) != "Cast" for node in quantizers)


def test_quantising_without_photos_is_refused(graph: bytes) -> None:
    from viewfinder.conversion.onnx import quantize_onnx

    with pytest.raises(ConversionError, match="photos"):
        quantize_onnx(graph, [])


def test_what_is_no_graph_is_refused_in_one_sentence() -> None:
    from viewfinder.conversion.onnx import quantize_onnx

    with pytest.raises(ConversionError, match="cannot be quantised"):
        quantize_onnx(b"nothing", list(pictures(1)))
