"""Nothing from a SavedModel runs but arithmetic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.border import InputBorder
from viewfinder.errors import BundleError, SettingsError

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

Body = Callable[[Any, Any], Any]


def _save(folder: Path, body: Body, *, also: Body | None = None, table: Any = None) -> Path:
    """A SavedModel of uint8 `[N, 4, 4, 3]` that gives what `body(tf, scores)` makes of the mean."""
    import tensorflow as tf

    image = tf.TensorSpec((None, 4, 4, 3), tf.uint8, name="image")
    module = tf.Module()
    module.table = table

    def serve(image: Any) -> dict[str, Any]:
        return {"scores": body(tf, tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]))}

    def beside(image: Any) -> Any:
        return (also or body)(tf, tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]))

    module.beside = tf.function(beside, input_signature=[image])
    signature = tf.function(serve, input_signature=[image])
    tf.saved_model.save(module, str(folder), signatures=signature)
    return folder / "saved_model.pb"


def _load(path: Path) -> Any:
    from viewfinder.engines.tensorflow import load

    return load(path, EngineOptions(threads=1))


def _nested(tf: Any, body: Body, scores: Any) -> Any:
    return tf.function(lambda scores: body(tf, scores))(scores)


def test_a_graph_that_would_write_a_file_is_refused_and_writes_none(tmp_path: Path) -> None:
    target = tmp_path / "written"

    def write(tf: Any, scores: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(target), "x")]):
            return tf.identity(scores)

    for number, body in enumerate([write, lambda tf, scores: _nested(tf, write, scores)]):
        path = _save(tmp_path / str(number), body)
        with pytest.raises(BundleError, match="the operation WriteFile, which is not run"):
            _load(path)
    assert not target.exists()


@pytest.mark.parametrize("op", ["ReadFile", "EagerPyFunc", "PrintV2", "StatelessIf"])
def test_a_graph_that_reaches_outside_is_refused(op: str, tmp_path: Path) -> None:
    def reach(tf: Any, scores: Any) -> Any:
        if op == "ReadFile":
            return scores + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
        if op == "EagerPyFunc":
            return tf.ensure_shape(tf.py_function(np.asarray, [scores], tf.float32), [None, 3])
        if op == "StatelessIf":
            return tf.cond(tf.reduce_sum(scores) > 0, lambda: scores, lambda: -scores)
        with tf.control_dependencies([tf.raw_ops.PrintV2(input=tf.constant("hello"))]):
            return tf.identity(scores)

    with pytest.raises(BundleError, match=f"the operation {op}"):
        _load(_save(tmp_path / "model", reach))


def test_a_table_that_fills_itself_when_loaded_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=1,
    )
    path = _save(tmp_path / "model", lambda _, scores: scores, table=table)
    with pytest.raises(BundleError, match="that runs when loaded"):
        _load(path)


def test_what_the_signature_does_not_reach_does_not_matter(tmp_path: Path) -> None:
    def say(tf: Any, scores: Any) -> Any:
        tf.print("training")
        return scores

    engine = _load(_save(tmp_path / "model", lambda _, scores: scores + 1, also=say))
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)
    assert engine.predict(images).tolist() == [[n + 1] * 3 for n in range(5)]


def test_a_model_without_the_signature_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "model"))
    with pytest.raises(BundleError, match="no signature serving_default"):
        _load(tmp_path / "model" / "saved_model.pb")


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def serve(image: Any) -> dict[str, Any]:
        scores = tf.reduce_mean(tf.cast(image, tf.float32), [1, 2])
        return {"scores": scores, "more": scores}

    image = tf.TensorSpec((None, 4, 4, 3), tf.uint8)
    signature = tf.function(serve, input_signature=[image])
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=signature)
    with pytest.raises(BundleError, match="exactly one input and one output"):
        _load(tmp_path / "saved_model.pb")


@pytest.mark.parametrize(("device", "reason"), [("cuda", "sees no GPU"), ("tensorrt", "'cuda'")])
def test_a_device_that_is_not_there_is_said(device: Any, reason: str, tmp_path: Path) -> None:
    import tensorflow as tf

    from viewfinder.engines.tensorflow import load

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(SettingsError, match=reason):
        load(tmp_path / "saved_model.pb", EngineOptions(threads=1, device=device))


def test_xla_gives_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from viewfinder.engines import tensorflow

    def body(tf: Any, scores: Any) -> Any:
        return tf.nn.softmax(tf.nn.relu(scores / 100 - 1) + tf.exp(-scores / 100))

    path = _save(tmp_path / "model", body)
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    expected = _load(path).predict(images)
    lengths = []
    run = InputBorder.encode

    def watched(border: Any, part: Any) -> Any:
        lengths.append(len(part))
        return run(border, part)

    # As on a GPU, but for the place: XLA compiles for a CPU as well.
    monkeypatch.setattr(tensorflow, "_is_compiled", lambda _: True)
    monkeypatch.setattr(InputBorder, "encode", watched)
    engine = tensorflow.load(path, EngineOptions(threads=1, device_batch=4))
    assert engine.predict(images) == pytest.approx(expected, abs=1e-6)
    assert engine.predict(images[:1]) == pytest.approx(expected[:1], abs=1e-6)
    # XLA compiles once: parts are filled up to the one length.
    assert set(lengths) == {4}
