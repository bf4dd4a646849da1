"""`viewfinder models export --format`."""

import json
from pathlib import Path

import pytest
from tests.support import PHOTOS, fake_bundle, run_command

MODEL = "efficientnet-lite0"


def test_a_graph_is_exported_with_all_it_needs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("models", "export", MODEL, "--format", "litert", "--with-metadata", "--to", out)
    done = run_command(*asked, "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    files = {one["path"]: one["bytes"] for one in answer.pop("files")}
    assert answer == {
        "name": MODEL,
        "version": 1,
        "variant": "int8",
        "format": "litert",
        "made": False,
        "folder": str(out),
    }
    assert files == {path.name: path.stat().st_size for path in out.iterdir()}
    again = run_command(*asked, home=tmp_path)
    assert (again.returncode, "nothing is overwritten" in again.stderr) == (1, True)


def test_the_folder_has_a_name_of_its_own_and_the_graph_can_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_command(
        "models", "export", MODEL, "--format", "litert", "--with-metadata", home=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "model.tflite" in done.stdout
    assert "int8" in done.stderr
    folder = tmp_path / f"{MODEL}-1-litert"
    labels = ("--labels", folder / "labels.txt", "--name", "back")
    back = run_command("models", "import", folder / "model.tflite", *labels, home=tmp_path)
    assert back.returncode == 0, back.stderr
    said = run_command(
        "classify", PHOTOS / "espresso.jpg", "--model", "back", "--json", home=tmp_path
    )
    assert json.loads(said.stdout)["class"] == "espresso"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("shoes", "--format", "png"), 2, "--format is one of litert, onnx, openvino, saved-model"),
        (("shoes", "--to", "x"), 2, "need --format"),
        (("shoes", "x.zip", "--format", "onnx"), 2, "--to"),
        (("boots", "--format", "onnx"), 1, "no model 'boots'"),
        (("shoes", "--format", "onnx"), 1, "was not trained by Viewfinder"),
        (("shoes", "--format", "onnx", "--variant", "best"), 1, "it has only (fake)"),
        (("shoes", "--format", "onnx", "--variant", "only"), 1, "is fake, not onnx"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    home = tmp_path / "home"
    fake_bundle(home / "models", "shoes")
    monkeypatch.chdir(tmp_path)
    done = run_command("models", "export", *arguments, home=home)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [home]
