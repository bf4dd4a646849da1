"""From a trained model to a version with every graph of it, measured, and served."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.test_training import CLASSES, write_photos
from tests.support import COMMAND, Server, environment, eventually, serving

from viewfinder.engines.loader import RUNTIMES
from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.ladder import Ladder
from viewfinder.registry.bundle import Bundle

pytestmark = pytest.mark.train

NAME = "things"
# Small, and trained from nothing: how good it is does not matter here.
BACKBONE = "mobilenet-v3-small"
LITERT = {"float32", "float16", "dynamic", "int8", "pruned", "distilled", "distilled-int8"}
OTHERS = {
    "onnx": "onnx",
    "onnx-int8": "onnx",
    "openvino": "openvino",
    "saved-model": "tensorflow",
}


@dataclass(frozen=True)
class Run:
    """What the commands did.

    Attributes:
        photos: The folder.
        home: The data home.
        said: What a person read.
        line: The JSON at the end.
        server: A server that ran all the while.
    """

    photos: Path
    home: Path
    said: str
    line: dict[str, Any]
    server: Server

    def bundle(self, version: int) -> Bundle:
        return Bundle.read(self.home / "models" / NAME / str(version))

    @property
    def ladder(self) -> Ladder:
        return Ladder.model_validate(self.line["ladder"])


def _command(home: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    home = tmp_path_factory.mktemp("home")
    training = ("--backbone", BACKBONE, "--weights", "none", "--epochs", 2, "--no-int8")
    _command(home, "train", photos, "--name", NAME, *training)
    with serving(home) as server:
        learning = ("--prune", "--distill", BACKBONE, "--student-weights", "none", "--epochs", 1)
        # Without --data: it knows where the photos were.
        done = _command(home, "optimize", NAME, *learning, "--rounds", 1, "--json")
        yield Run(photos, home, done.stderr, json.loads(done.stdout), server)


def _installed(engine: str) -> bool:
    return util.find_spec(RUNTIMES[engine].package) is not None


def test_every_rung_is_there_or_named_with_its_reason(run: Run) -> None:
    names = {row.name for row in run.ladder.rows}
    assert names >= LITERT
    left_out = {one.name: one.why for one in run.ladder.left_out}
    for name, engine in OTHERS.items():
        if _installed(engine):
            assert name in names, left_out
        else:
            assert "not installed" in left_out.get(name, left_out.get("onnx", ""))
    assert [v.name for v in run.bundle(2).manifest.variants] == [r.name for r in run.ladder.rows]


def test_each_is_measured_in_full(run: Run) -> None:
    for row in run.ladder.rows:
        assert row.p50_ms is not None
        assert row.p50_ms > 0
        assert row.throughput is not None
        assert row.throughput > 0
        assert row.peak_bytes is not None
        assert row.peak_bytes > 10_000_000
        assert row.compressed_bytes is not None
        assert row.compressed_bytes < row.bytes
        assert row.accuracy is not None
        assert row.agreement is not None
        assert row.ece is not None
        assert (row.difference is None) == (row.name == "float32")


def test_graphs_of_the_model_itself_give_their_feature_map(run: Run) -> None:
    variants = run.bundle(2).manifest.variants
    itself = {"float32", "float16", "dynamic", "int8", "int8-mixed"}
    assert {one.name for one in variants if one.features is not None} == itself & {
        one.name for one in variants
    }


def test_bytes_are_those_of_the_files(run: Run) -> None:
    manifest = run.bundle(2).manifest
    for row in run.ladder.rows:
        assert row.bytes == manifest.variant(row.name).size
    by_name = {row.name: row for row in run.ladder.rows}
    assert by_name["float16"].bytes < by_name["float32"].bytes * 0.6
    assert by_name["int8"].bytes < by_name["float32"].bytes * 0.45


def test_what_is_pruned_is_smaller_once_compressed(run: Run) -> None:
    by_name = {row.name: row for row in run.ladder.rows}
    pruned, float32 = by_name["pruned"].compressed_bytes, by_name["float32"].compressed_bytes
    assert pruned is not None
    assert float32 is not None
    assert pruned < 0.75 * float32
    assert run.bundle(2).manifest.provenance["optimized"]["sparsity"] > 0.5


def test_the_recommended_one_is_in_the_manifest_and_answers(run: Run) -> None:
    manifest = run.bundle(2).manifest
    assert manifest.recommended == run.line["recommended"] == run.ladder.recommended
    photo = (run.photos / "test" / "cat" / "0.jpg").read_bytes()
    with httpx2.Client(base_url=run.server.url, trust_env=False, timeout=60) as client:

        def ask(model: str, **more: str) -> httpx2.Response:
            return client.post(
                "/v1/classify",
                params={"model": model, **more},
                content=photo,
                headers={"Content-Type": "image/jpeg"},
            )

        eventually(lambda: ask(NAME).json().get("model", {}).get("version") == 2)
        answer = ask(NAME).json()
        assert answer["model"]["variant"] == manifest.recommended
        assert answer["class"] in CLASSES


def test_every_variant_is_calibrated_and_timed(run: Run) -> None:
    for variant in run.bundle(2).manifest.variants:
        assert len(variant.golden.samples) == 3
        assert variant.accuracy is not None
        assert variant.latency is not None


def test_the_report_shows_all_of_it(run: Run) -> None:
    report = (run.home / "models" / NAME / "2" / "report.html").read_text()
    assert "Its variants on this machine" in report
    assert "Pareto front" in report
    for row in run.ladder.rows:
        assert f">{row.name}" in report
    evaluation = Evaluation.model_validate_json(
        (run.home / "models" / NAME / "2" / "evaluation.json").read_bytes()
    )
    assert evaluation.ladder == run.ladder
    assert evaluation.unseen
    assert {epoch.phase for epoch in evaluation.history} == {"pruning", "distilling"}


def test_where_it_came_from_is_written_down(run: Run) -> None:
    first, second = run.bundle(1).manifest.provenance, run.bundle(2).manifest.provenance
    assert second["parent"] == 1
    assert second["optimized"]["student"] == BACKBONE
    assert second["optimized"]["dataset"]["digest"] == first["dataset"]["digest"]
    assert second["backbone"] == first["backbone"]
    assert str(run.photos) not in (run.home / "models" / NAME / "2" / "bundle.json").read_text()


def test_nothing_is_left_of_the_run(run: Run) -> None:
    assert not list((run.home / "runs" / NAME).iterdir())
