"""What the "coming from" pages tell people to type, typed; and what they say comes of it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from tests.support import PHOTOS, ROOT, encode, environment, photo, run_command, serving

pytestmark = [pytest.mark.train, pytest.mark.tensorflow]

PAGES = ROOT / "docs" / "coming-from"
SERVING, SCRIPT = PAGES / "tensorflow-serving.md", PAGES / "fastapi.md"
SIDE, CLASSES = 224, 12
# TensorFlow is imported by processes of their own, on a machine that may be busy.
PATIENCE_S = 300

MAKE = """
import json, sys
from pathlib import Path
import keras, tensorflow as tf

side, classes, decoding = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
keras.utils.set_random_seed(1)
image = keras.Input((side, side, 3))
x = keras.layers.Rescaling(1 / 127.5, -1)(image)
x = keras.layers.Conv2D(16, 5, strides=4, activation="relu")(x)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))
model.save("model.keras")
model.export("models/shoes/1", verbose=False)

class Decoding(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, files):
        decode = lambda file: tf.image.resize(tf.io.decode_jpeg(file, 3), (side, side))
        pixels = tf.map_fn(decode, files, fn_output_signature=tf.float32)
        return {"scores": tf.reduce_mean(pixels, [1, 2])}

whole = Decoding()
tf.saved_model.save(whole, decoding, signatures=whole.__call__)
labels = [f"class-{n}" for n in range(classes)]
Path("labels.json").write_text(json.dumps(labels))
Path("labels.txt").write_text("\\n".join(labels))
"""

# What the script of the page answers to photos, and to what it is not made for.
ASK = """
import json, sys
from fastapi.testclient import TestClient
from main import app

with TestClient(app) as client:
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            answer = client.post("/predict", files={"file": file})
        print(json.dumps([answer.status_code, answer.json()]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who comes: a model in its files, and its labels."""
    made = tmp_path_factory.mktemp("before")
    python(made, MAKE, str(SIDE), str(CLASSES), "decoding")
    return made


@pytest.fixture(scope="module")
def before(folder: Path) -> dict[str, Any]:
    """What a client of old saw: pixels as the pages' flags describe them, Keras, `argmax`."""
    code = f"""
import json, keras, numpy as np
from PIL import Image
pixels = np.array(Image.open({str(PHOTOS / "espresso.jpg")!r}).resize(({SIDE}, {SIDE})))
scores = keras.models.load_model("model.keras")(pixels[None].astype("float32")).numpy()[0]
print(json.dumps({{"class": f"class-{{scores.argmax()}}", "confidence": float(scores.max())}}))
"""
    found: dict[str, Any] = json.loads(python(folder, code).splitlines()[-1])
    return found


def python(folder: Path, code: str, *arguments: str) -> str:
    """Run a program there; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(page: Path, begins: str) -> str:
    """The Python of a page that has this in it."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = [code for code in blocks if begins in code]
    return str(found)


def typed(page: Path, begins: str) -> list[list[str]]:
    """The commands of a page that begin so, without `viewfinder`; each once."""
    text = page.read_text("utf-8")
    lines = re.findall(rf"^(?:\$ )?viewfinder ({begins}.*?)(?:  +#.*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in dict.fromkeys(lines)]


def carried_out(
    command: list[str], folder: Path, home: str = "home"
) -> subprocess.CompletedProcess[str]:
    """A command of a page, in a store of its own; its relative paths are of the folder."""
    first, second, *others = command
    there = [str(folder / word) if (folder / word).exists() else word for word in others]
    return run_command(first, second, *there, home=folder / home, timeout=PATIENCE_S)


def test_a_directory_of_tensorflow_serving_is_imported_and_served(
    folder: Path, before: dict[str, Any]
) -> None:
    bare, *_, whole = sorted(typed(SERVING, "models import models/"), key=len)
    assert "--scaling" not in bare
    refused = carried_out(bare, folder)
    assert refused.returncode == 2
    assert refused.stderr.strip() in " ".join(SERVING.read_text("utf-8").split())
    done = carried_out(whole, folder)
    assert done.returncode == 0, done.stderr
    assert "is published; a running server follows within seconds" in done.stderr + done.stdout

    with (
        serving(folder / "home", REQUEST_TIMEOUT_S=PATIENCE_S) as server,
        httpx2.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        files = {"file": photo("espresso.jpg")}
        answer = client.post("/v1/classify?model=shoes", files=files)
        assert answer.json()["class"] == before["class"]
        assert answer.json()["confidence"] == pytest.approx(before["confidence"], abs=0.002)
        alias = client.put("/v1/models/shoes/aliases/stable", json={"version": 1})
        assert alias.status_code == 200, alias.text
        named = client.post("/v1/classify?model=shoes@stable", files=files)
        assert named.json()["class"] == before["class"]
        for path in ("/v1/models/shoes", "/v1/models/shoes/versions/1", "/metrics"):
            assert client.get(path).status_code == 200, path
        # The page says that this is not there; where it is, the page has to change.
        dialect = client.post("/v1/models/shoes:predict", json={"instances": []})
        assert (dialect.status_code, dialect.json()["code"]) == (405, "method_not_allowed")


def test_a_graph_that_decodes_is_refused_by_the_operation_that_the_page_names(
    folder: Path,
) -> None:
    labels = str(folder / "labels.txt")
    done = carried_out(
        ["models", "import", "decoding", "--labels", labels, "--scaling", "none"], folder
    )
    assert done.returncode == 1
    (operation,) = re.findall(r"the operation (\w+)", done.stderr)
    assert f"`{operation}`" in SERVING.read_text("utf-8")


def test_the_script_answers_as_the_page_says(folder: Path, tmp_path: Path) -> None:
    code = block(SCRIPT, "background.add_task").replace("model.keras", str(folder / "model.keras"))
    (tmp_path / "main.py").write_text(code)
    (tmp_path / "labels.json").write_bytes((folder / "labels.json").read_bytes())
    for name, mode in (("a.png", "RGBA"), ("p.gif", "P")):
        image = Image.open(PHOTOS / "cat.jpg").convert(mode)
        (tmp_path / name).write_bytes(encode(image, name[2:].upper()))
    asked = python(tmp_path, ASK, str(PHOTOS / "cat.jpg"), "a.png", "p.gif")
    photo_, transparent, palette = map(json.loads, asked.splitlines()[-3:])
    assert photo_[0] == 200
    assert set(photo_[1]) == {"class", "confidence"}
    assert (transparent[0], palette[0]) == (400, 400)


def test_its_model_is_taken_over(folder: Path, before: dict[str, Any]) -> None:
    converting = block(SCRIPT, "TFLiteConverter")
    python(folder, converting)
    (command,) = typed(SCRIPT, "models import")
    done = carried_out(command, folder, home="script")
    assert done.returncode == 0, done.stderr
    assert "stretch, bicubic, scaling none" in done.stderr + done.stdout
    answered = run_command(
        "classify",
        PHOTOS / "espresso.jpg",
        "--model",
        "shoes",
        "--json",
        home=folder / "script",
        timeout=PATIENCE_S,
    )
    now = json.loads(answered.stdout)
    assert now["model"]["variant"] == "imported"
    assert now["class"] == before["class"]
    assert now["confidence"] == pytest.approx(before["confidence"], abs=0.002)


def test_its_file_is_not_read(folder: Path) -> None:
    done = carried_out(
        ["models", "import", "model.keras", "--labels", "labels.txt", "--name", "shoes"], folder
    )
    assert done.returncode == 1
    assert "is not a graph" in done.stderr
