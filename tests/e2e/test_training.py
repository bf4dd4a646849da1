"""From photos to a model that a running server answers with: stopped, gone on with, measured."""

import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageEnhance
from tests.support import (
    COMMAND,
    PHOTOS,
    Server,
    encode,
    environment,
    eventually,
    run_command,
    serving,
)

import viewfinder
from viewfinder.evaluation import metrics
from viewfinder.evaluation.document import Evaluation
from viewfinder.registry.bundle import Bundle

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Keras' own
]

CLASSES = ("cat", "espresso", "sandal")
SIZES = {"train": 8, "validation": 4, "test": 4}
NAME = "things"
MARKER = b"taken at home by somebody"


def write_photos(folder: Path) -> Path:
    """A real photo a class, seen in many ways; each file says who took it."""
    for label in CLASSES:
        with Image.open(PHOTOS / f"{label}.jpg") as image:
            whole = image.convert("RGB")
        chance = np.random.default_rng(len(label))
        for split, count in SIZES.items():
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                part = chance.uniform(0.5, 0.95)
                width, height = (int(side * part) for side in whole.size)
                left = int(chance.uniform(0, whole.width - width))
                top = int(chance.uniform(0, whole.height - height))
                seen = whole.crop((left, top, left + width, top + height))
                seen = ImageEnhance.Brightness(seen).enhance(chance.uniform(0.5, 1.4))
                seen.save(folder / split / label / f"{number}.jpg", comment=MARKER)
    # Somebody has put an espresso among the cats: a mistake to be found.
    (folder / "test" / "cat" / "wrong.jpg").write_bytes((PHOTOS / "espresso.jpg").read_bytes())
    (folder / "train" / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    return folder


@dataclass(frozen=True)
class Run:
    """What the command did.

    Attributes:
        photos: The folder.
        home: The data home.
        stopped: Its output when it was stopped.
        went_on: Its output when it was called again.
        line: The JSON at its end.
        server: A server that ran all the while.
    """

    photos: Path
    home: Path
    stopped: str
    went_on: str
    line: dict[str, Any]
    server: Server

    @property
    def folder(self) -> Path:
        return self.home / "models" / NAME / "1"

    @property
    def bundle(self) -> Bundle:
        return Bundle.read(self.folder)

    @property
    def evaluation(self) -> Evaluation:
        return Evaluation.model_validate_json((self.folder / "evaluation.json").read_bytes())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    home = tmp_path_factory.mktemp("home")
    command: list[Any] = [
        COMMAND,
        "train",
        photos,
        "--name",
        NAME,
        "--epochs",
        "2",
        "--seed",
        "1",
        "--json",
    ]
    with serving(home) as server:
        stopped = _stop_at(command, home, "Fine-tuning")
        again = subprocess.run(
            command, env=environment(home), capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, again.stderr
        line = json.loads(again.stdout)
        yield Run(photos, home, stopped, again.stderr, line, server)


def _stop_at(command: list[Any], home: Path, phase: str) -> str:
    """Start it, and press Ctrl-C when it comes to a phase."""
    with subprocess.Popen(
        command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(phase):
                process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait() == 1
    return "".join(lines)


@pytest.fixture(scope="module")
def answers(run: Run) -> dict[Path, dict[str, Any]]:
    """What the server says of each test photo, once it has found the model by itself."""
    with httpx2.Client(base_url=run.server.url, trust_env=False, timeout=60) as client:
        eventually(lambda: client.get(f"/v1/models/{NAME}").status_code == 200)
        found = {}
        for path in sorted((run.photos / "test").rglob("*.jpg")):
            answer = client.post(
                "/v1/classify",
                params={"model": NAME, "top_k": 100},
                content=path.read_bytes(),
                headers={"Content-Type": "image/jpeg"},
            )
            assert answer.status_code == 200, answer.text
            found[path] = answer.json()
    return found


def test_ctrl_c_loses_nothing(run: Run) -> None:
    assert "Training the head" in run.stopped
    assert "the same command goes on from here" in run.stopped
    assert "Traceback" not in run.stopped
    assert "Fine-tuning" in run.went_on
    assert "Training the head" not in run.went_on
    assert not list((run.home / "runs" / NAME).iterdir())


def test_a_terminal_sees_no_chatter_of_libraries(run: Run) -> None:
    known = re.compile(
        r"(Building the model|Reading photos|Looking at them|Training the head|"
        r"Fine-tuning|Converting|Measuring|Timing|Testing the best|"
        r"  epoch|  \d|stopping|viewfinder: stopped|1 photo |Of the validation and test photos)"
    )
    for line in (run.stopped + run.went_on).splitlines():
        assert known.match(line), line


def test_the_last_line_is_for_machines(run: Run) -> None:
    assert (run.line["name"], run.line["version"]) == (NAME, 1)
    assert run.line["seconds"] > 0
    assert set(run.line["evaluation"]) == {"validation", "test"}
    assert run.line["evaluation"]["test"]["photos"] == 13
    assert run.line["evaluation"]["test"]["accuracy"] >= 0.8


def test_a_photo_that_is_broken_is_told_and_left_out(run: Run) -> None:
    assert "broken.jpg" in run.stopped
    assert run.bundle.manifest.provenance["dataset"]["skipped"] == 1


def test_the_server_found_it_and_the_label_is_right(
    run: Run, answers: dict[Path, dict[str, Any]]
) -> None:
    right = [answer["class"] == path.parent.name for path, answer in answers.items()]
    assert sum(right) == round(run.evaluation.splits["test"].accuracy.value * len(right))


def test_scores_over_http_are_those_of_the_evaluation_bit_for_bit(
    run: Run, answers: dict[Path, dict[str, Any]]
) -> None:
    """The numbers of evaluation.json, worked out from what the server has answered."""
    labels = [label.name for label in run.bundle.manifest.labels]
    confidence = np.zeros((len(answers), len(labels)), np.float32)
    for row, answer in enumerate(answers.values()):
        for score in answer["classes"]:
            confidence[row, score["index"]] = score["confidence"]
    targets = np.array([labels.index(path.parent.name) for path in answers])
    # In the order in which they were scored: a sum depends on it.
    order = _order_of_scoring(list(answers))
    confidence, targets = confidence[order], targets[order]
    found = run.evaluation.splits["test"]
    assert float(metrics.negative_log_likelihoods(confidence, targets).mean()) == found.nll.value
    assert float(metrics.brier_scores(confidence, targets).mean()) == found.brier.value
    assert float(confidence.max(axis=1).astype(np.float64).mean()) == found.mean_confidence
    right = metrics.is_right(confidence, targets)
    assert metrics.expected_calibration_error(confidence.max(axis=1), right) == found.ece


def _order_of_scoring(paths: list[Path]) -> list[int]:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return sorted(range(len(paths)), key=lambda n: (digests[n], paths[n]))


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_its_heat_map_points_at_the_object(run: Run, corner: tuple[int, int]) -> None:
    canvas = Image.new("RGB", (512, 512), (200, 190, 180))
    with Image.open(PHOTOS / "espresso.jpg") as image:
        canvas.paste(image.convert("RGB").resize((256, 256)), (256 * corner[0], 256 * corner[1]))
    answer = httpx2.post(
        f"{run.server.url}/v1/classify",
        params={"model": NAME, "explain": "heatmap"},
        files={"file": encode(canvas)},
        timeout=60,
        trust_env=False,
    ).json()
    assert answer["class"] == "espresso"
    explanation = answer["explanation"]
    assert explanation["method"] == "class-activation"
    values = np.array(explanation["values"])
    assert values.shape == (7, 7)
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert (int(column > 3), int(row > 3)) == corner


def test_what_is_exported_gives_scores_alone(run: Run, tmp_path: Path) -> None:
    for variant in ("float32", "int8"):
        folder = tmp_path / variant
        options = ("--format", "litert", "--variant", variant, "--with-metadata", "--to", folder)
        done = run_command("models", "export", NAME, *options, home=run.home)
        assert done.returncode == 0, done.stderr
        interpreter = Interpreter(str(folder / "model.tflite"), num_threads=1)
        assert len(interpreter.get_output_details()) == 1
        assert not (folder / "head.npy").exists()


def test_an_evaluation_afterwards_says_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(run.home).items():
        monkeypatch.setenv(name, value)
    again = viewfinder.evaluate(NAME, run.photos).splits["test"]
    first = run.evaluation.splits["test"]
    assert again.accuracy == first.accuracy
    assert again.ece == pytest.approx(first.ece)
    assert again.confused == first.confused


def test_an_evaluation_on_what_was_learned_from_says_so(run: Run) -> None:
    words: list[str | Path] = ["evaluate", NAME, run.photos]
    unseen = run_command(*words, home=run.home)
    assert unseen.returncode == 0, unseen.stderr
    assert "has learned from" not in unseen.stderr
    for part in ([*words, "--split", "train"], ["evaluate", NAME, run.photos / "train"]):
        result = run_command(*part, home=run.home)
        assert result.returncode == 0, result.stderr
        assert f"{NAME}@1 has learned from photos among these" in result.stderr


def test_python_answers_as_the_server_does(
    run: Run, answers: dict[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(run.home).items():
        monkeypatch.setenv(name, value)
    with viewfinder.Classifier.load(NAME) as classifier:
        for path, answer in list(answers.items())[:4]:
            prediction = classifier(path, top_k=100)
            assert [(s.label, s.confidence) for s in prediction.classes] == [
                (score["class"], score["confidence"]) for score in answer["classes"]
            ]


def test_the_bundle_has_both_variants_calibrated_and_timed(run: Run) -> None:
    manifest = run.bundle.manifest
    assert [variant.name for variant in manifest.variants] == ["float32", "int8"]
    float32, int8 = manifest.variants
    assert int8.file.bytes < float32.file.bytes / 3
    for variant in manifest.variants:
        assert variant.accuracy is not None
        assert variant.reference is not None
        assert variant.reference.photos == run.evaluation.splits["validation"].photos
        assert variant.latency is not None
        assert variant.latency.p50_ms > 0
        assert variant.calibration.temperature != 1
        assert len(variant.golden.samples) == 3
        assert variant.preprocess.crop_fraction == 224 / 256
    assert run_command("models", "verify", NAME, home=run.home).returncode == 0


def test_the_mistake_is_in_the_report_with_its_photo(run: Run) -> None:
    worst = run.evaluation.splits["test"].worst
    assert (worst[0].path, worst[0].label, worst[0].answer) == (
        "test/cat/wrong.jpg",
        "cat",
        "espresso",
    )
    report = (run.folder / "report.html").read_text()
    assert "things@1" in report
    assert "data:image/jpeg;base64," in report
    assert not re.search(r'(src|href)="(?!data:|#)', report)


def test_nothing_private_gets_into_the_bundle(run: Run) -> None:
    assert any(MARKER in path.read_bytes() for path in run.photos.rglob("*.jpg"))
    for path in run.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert MARKER not in content
            assert str(run.photos).encode() not in content


def test_keras_says_what_the_graph_says(run: Run) -> None:
    checked = run.evaluation.keras
    assert checked is not None
    assert checked["largest_difference_of_logits"] < 0.01
    assert checked["accuracy"] == checked["accuracy_of_float32"]


def test_where_it_came_from_is_written_down(run: Run) -> None:
    provenance = run.bundle.manifest.provenance
    dataset = provenance["dataset"]
    assert (dataset["train"], dataset["validation"], dataset["test"]) == (24, 12, 13)
    assert provenance["backbone"] == "efficientnet-lite0"
    assert provenance["fine_tuned"] is True
    assert provenance["epochs"] == 2
    assert provenance["parent"] is None
    assert {"keras", "viewfinder"} <= set(provenance["packages"])


def test_the_curves_are_there(run: Run) -> None:
    assert list((run.home / "logs" / NAME).rglob("events.out.tfevents.*"))
    phases = [epoch.phase for epoch in run.evaluation.history]
    assert phases.count("fine-tuning") == 2
    assert "head" in phases


def test_from_a_table_by_python_with_a_hidden_layer_and_nothing_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    photos = [path for path in run.photos.rglob("*.jpg") if path.stem.isdigit()]
    table = tmp_path / "photos.csv"
    rows = [f"{path},{path.parent.name}" for path in photos]
    table.write_text("\n".join(["path,label", *rows]))
    trained = viewfinder.train(table, "tabled", head="mlp", fine_tune=False, epochs=20, int8=False)
    manifest = trained.bundle.manifest
    assert [variant.name for variant in manifest.variants] == ["float32"]
    assert manifest.provenance["dataset"]["split_by"] == "viewfinder"
    assert manifest.provenance["head"] == "mlp"
    assert len(trained.evaluation.history) <= 20
    assert {epoch.phase for epoch in trained.evaluation.history} == {"head"}
    assert manifest.variant().features is None  # a hidden layer mixes the places
    prediction = viewfinder.Classifier.load("tabled")(photos[0], explain="heatmap")
    assert prediction.top.label in CLASSES
    assert prediction.explanation is not None
    assert prediction.explanation.method == "occlusion"
