"""`viewfinder.Classifier`: a model in this process, which answers as a server does."""

import io
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

import viewfinder
from tests.support import DATA, PHOTOS, ROOT, Engine, encode, fake_bundle, grey, photo
from viewfinder.api.schemas.classify import Classification
from viewfinder.errors import (
    BundleError,
    ImageTooLargeError,
    InvalidImageError,
    InvalidParameterError,
    MalformedRequestError,
    ModelNotFoundError,
    NotReadyError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    VersionNotFoundError,
)
from viewfinder.registry.routing import Routing
from viewfinder.registry.store import open_store
from viewfinder.types import Prediction


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def builtin() -> Iterator[viewfinder.Classifier]:
    with viewfinder.Classifier.load("efficientnet-lite0", threads=2) as classifier:
        yield classifier


@pytest.fixture
def fake(store: Path) -> Iterator[viewfinder.Classifier]:
    fake_bundle(store)
    with viewfinder.Classifier.load("fake", store=store, threads=2) as classifier:
        yield classifier


def said(answer: dict[str, Any]) -> dict[str, Any]:
    """What is the same each time."""
    return {name: answer[name] for name in answer.keys() - {"id", "timing_ms", "cached"}}


@pytest.mark.parametrize(
    "path",
    [*sorted(PHOTOS.glob("*.jpg")), pytest.param(DATA / "photo.heic", marks=pytest.mark.heif)],
    ids=lambda path: path.name,
)
def test_an_answer_is_the_servers_to_the_last_bit(
    builtin: viewfinder.Classifier, client: httpx2.Client, path: Path
) -> None:
    answer = client.post(
        "/v1/classify", params={"top_k": 100}, files={"file": path.read_bytes()}
    ).json()
    for given in (path, str(path), path.read_bytes()):
        prediction = builtin(given, top_k=100)
        rendered = Classification.of(prediction).model_dump(mode="json", by_alias=True)
        assert said(rendered) == said(answer)
    (alone,) = builtin.classify_many([path], top_k=100)
    assert alone.classes == prediction.classes


def test_what_is_decoded_already_gets_the_same_label(builtin: viewfinder.Classifier) -> None:
    with Image.open(PHOTOS / "espresso.jpg") as image:
        pixels = np.asarray(image)
        assert builtin(image).top.label == "espresso"
    assert builtin(pixels).top.label == "espresso"
    # A PNG is decoded in one way only.
    data = encode(Image.fromarray(pixels))
    assert builtin(pixels).classes == builtin(data).classes
    assert builtin(pixels[:, ::-1][:, ::-1]).classes == builtin(data).classes


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_an_image_of_any_mode_is_treated_as_its_file_would_be(
    fake: viewfinder.Classifier, mode: str
) -> None:
    image = Image.new("RGBA", (40, 30), (90, 120, 150, 128))
    image = (
        image.convert("RGB").convert(mode)
        if mode == "CMYK"
        else image.convert("L" if mode == "I;16" else mode)
    )
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    data = encode(image, "TIFF" if mode == "CMYK" else "PNG")
    with Image.open(io.BytesIO(data)) as opened:
        assert fake(opened).classes == fake(image).classes
    if mode != "CMYK":
        assert fake(image).classes == fake(data).classes


def test_an_image_is_turned_as_exif_says(builtin: viewfinder.Classifier) -> None:
    upright = Image.open(io.BytesIO(photo("cat.jpg"))).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        assert builtin(image).classes == builtin(data).classes == builtin(upright).classes


def test_a_name_means_what_it_means_to_a_server(store: Path, tmp_path: Path) -> None:
    for version in (1, 2, 3):
        fake_bundle(store, version=version, classes=version + 1)
    (store / "fake" / "3" / "bundle.json").write_text("{}")
    load = viewfinder.Classifier.load
    assert load("fake", store=store).version == 2
    assert load("fake@1", store=str(store)).labels == ("step-0", "step-1")
    open_store(str(store), tmp_path).route("fake", lambda r: Routing.with_alias(r, "stable", 1))
    assert load("fake", store=store).version == load("fake@stable", store=store).version == 1
    assert load("fake@latest", store=store).version == 2
    for name, error in (
        ("nope", ModelNotFoundError),
        ("../../etc", ModelNotFoundError),
        ("fake@9", VersionNotFoundError),
        ("fake@canary", VersionNotFoundError),
        ("fake@3", NotReadyError),
    ):
        with pytest.raises(error):
            load(name, store=store)
    with pytest.raises(InvalidParameterError, match=r"variant: .* only"):
        load("fake", store=store, variant="none")
    assert load("fake", store=store, variant="only").version == 1


def test_settings_say_the_default_model_and_the_store(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_bundle(store, "shoes", 7)
    monkeypatch.setenv("VIEWFINDER_MODEL_STORE", str(store))
    monkeypatch.setenv("VIEWFINDER_DEFAULT_MODEL", "shoes")
    with viewfinder.Classifier.load() as classifier:
        assert (classifier.name, classifier.version) == ("shoes", 7)
        assert classifier.model.variant == "only"
        assert classifier.calibration.abstain_below is None
        assert repr(classifier) == "<Classifier shoes@7 only>"


def test_a_model_whose_file_was_changed_is_not_loaded(store: Path) -> None:
    (fake_bundle(store).folder / "graph.json").write_text("{}")
    with pytest.raises(BundleError):
        viewfinder.Classifier.load("fake", store=store)


def test_options_are_those_of_the_api(fake: viewfinder.Classifier) -> None:
    assert len(fake(grey(9), top_k=3).classes) == 3
    assert fake(grey(9), top_k=100, min_confidence=1).classes == ()
    for options in ({"top_k": 0}, {"top_k": 101}, {"min_confidence": 1.1}, {"min_confidence": -1}):
        with pytest.raises(InvalidParameterError):
            fake(grey(9), **options)
        with pytest.raises(InvalidParameterError):
            fake.classify_many([], **options)
    with pytest.raises(InvalidParameterError):
        fake.classify_many([], min_confidence=float("nan"))
    ignore: Any = {"on_error": "ignore"}
    with pytest.raises(InvalidParameterError, match="on_error"):
        fake.classify_many([], **ignore)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (b"", MalformedRequestError),
        (b"hello", UnsupportedMediaTypeError),
        (photo("cat.jpg")[:2000], InvalidImageError),
        (bytes(10 * 1024 * 1024 + 1), PayloadTooLargeError),
        ("nowhere.jpg", FileNotFoundError),
        (PHOTOS, IsADirectoryError),
        (Image.new("1", (20_000, 1)), ImageTooLargeError),
        (Image.new("RGB", (0, 5)), InvalidImageError),
        (np.zeros((0, 5, 3), np.uint8), (InvalidImageError, ValueError)),
        (np.zeros((5, 5), np.uint8), ValueError),
        (np.zeros((5, 5, 4), np.uint8), ValueError),
        (np.zeros((5, 5, 3), np.float32), ValueError),
        (None, TypeError),
        (7, TypeError),
        (bytearray(b"x"), TypeError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_is_no_photo_is_refused(
    fake: viewfinder.Classifier, given: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        fake(given)


def test_a_large_file_is_refused_for_its_length(
    fake: viewfinder.Classifier, tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(grey(9) + bytes(11 << 20))
    with pytest.raises(PayloadTooLargeError):
        fake(large)


def test_a_damaged_image_that_pillow_has_only_opened_is_invalid(
    fake: viewfinder.Classifier,
) -> None:
    data = photo("cat.jpg")
    with (
        Image.open(io.BytesIO(data[: len(data) // 2])) as image,
        pytest.raises(InvalidImageError),
    ):
        fake(image)


def test_many_are_answered_in_their_order(fake: viewfinder.Classifier) -> None:
    shades = [16 * step + 8 for step in range(16)] * 4
    answers = list(fake.classify_many(grey(shade) for shade in shades))
    assert [answer.top.index for answer in answers] == [shade // 16 for shade in shades]


def test_one_that_fails_takes_its_place_or_ends_it(fake: viewfinder.Classifier) -> None:
    photos: list[Any] = [grey(8), b"hello", "nowhere.jpg", grey(24)]
    answers = list(fake.classify_many(photos, on_error="return"))
    assert isinstance(answers[1], UnsupportedMediaTypeError)
    assert isinstance(answers[2], FileNotFoundError)
    assert [a.top.index for a in answers if isinstance(a, Prediction)] == [0, 1]
    several = fake.classify_many(photos)
    assert next(several).top.index == 0
    with pytest.raises(UnsupportedMediaTypeError):
        next(several)
    assert list(several) == []


def test_no_more_are_read_than_are_worked_on(fake: viewfinder.Classifier) -> None:
    taken = []

    def photos() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield grey(8)

    answers = fake.classify_many(photos())
    assert taken == []
    next(answers)
    assert len(taken) <= 5
    assert isinstance(answers, Generator)
    answers.close()
    assert len(taken) <= 5


def test_as_many_are_worked_on_at_once_as_there_are_threads(
    fake: viewfinder.Classifier, engine: Engine
) -> None:
    engine.open.clear()
    answers: list[Prediction] = []
    thread = threading.Thread(target=lambda: answers.extend(fake.classify_many([grey(8)] * 6)))
    thread.start()
    assert engine.entered.acquire(timeout=30)
    assert engine.entered.acquire(timeout=30)
    engine.open.set()
    thread.join(30)
    assert len(answers) == 6


def test_any_number_of_threads_may_ask(builtin: viewfinder.Classifier) -> None:
    names = ["cat.jpg", "espresso.jpg"]
    alone = {name: builtin(photo(name)).classes for name in names}
    with ThreadPoolExecutor(8) as pool:
        asked = names * 8
        answers = list(pool.map(lambda name: builtin(photo(name)).classes, asked))
    assert answers == [alone[name] for name in asked]


def test_a_closed_classifier_answers_nobody(fake: viewfinder.Classifier) -> None:
    fake.close()
    fake.close()
    with pytest.raises(NotReadyError):
        fake(grey(8))


def test_importing_the_package_imports_nothing_else() -> None:
    program = """
import sys
before = set(sys.modules)
import viewfinder
assert {"Classifier", "Prediction"} <= set(dir(viewfinder))
for heavy in ("numpy", "PIL", "pydantic", "viewfinder.settings"):
    assert heavy not in set(sys.modules) - before, heavy
from viewfinder import Classifier
assert Classifier is viewfinder.Classifier
assert viewfinder.Classifier.__module__ == "viewfinder.local"
for heavy in ("fastapi", "uvicorn", "tensorflow", "pi_heif"):
    assert heavy not in sys.modules, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = viewfinder.nothing
    assert {getattr(viewfinder, name) for name in viewfinder.__all__}


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(viewfinder.__file__).parent / "py.typed").is_file()


def test_the_examples_of_the_documentation_run(tmp_path: Path) -> None:
    shutil.copy(PHOTOS / "espresso.jpg", tmp_path / "photo.jpg")
    shutil.copytree(PHOTOS, tmp_path / "photos")
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    (tmp_path / "examples.py").write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert shown.startswith("espresso 0.")
    assert "README.md failed: The image is not" in shown
    assert "invalid_image" in shown


def test_a_heat_map_is_the_one_that_a_server_draws(
    builtin: viewfinder.Classifier, client: httpx2.Client
) -> None:
    data = photo("espresso.jpg")
    here = builtin(data, explain="heatmap")
    there = client.post("/v1/classify?explain=heatmap", files={"file": data}).json()
    body = Classification.of(here).model_dump(by_alias=True)
    assert body["explanation"] == there["explanation"]
    assert builtin(data).explanation is None
    assert here.timing.total > here.timing.decode + here.timing.infer


def test_an_image_and_an_array_are_explained_too(builtin: viewfinder.Classifier) -> None:
    with Image.open(io.BytesIO(photo("espresso.jpg"))) as image:
        for given in (image, np.asarray(image)):
            explanation = builtin(given, explain="heatmap").explanation
            assert explanation is not None
            assert max(map(max, explanation.values)) == 1


def test_what_is_no_explanation_is_refused(fake: viewfinder.Classifier) -> None:
    words: Any = "words"
    with pytest.raises(InvalidParameterError, match="explain"):
        fake(grey(0), explain=words)
