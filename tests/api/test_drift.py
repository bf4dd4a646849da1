"""`GET /v1/models/{name}/drift`: real photos, a real model, a real server."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from tests.serving.references import with_reference
from tests.support import PHOTOS, encode, fake_bundle, serving, serving_here

from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.serving.drift.stability import MODERATE, SIGNIFICANT
from viewfinder.settings import DriftSettings, Settings

KNOWN, OTHERS = ("cat", "espresso", "rocket"), ("running-shoe", "sandal")
WINDOW = 160
SENT = 200  # what was before is no part of a window any more
TOGETHER = 50


def _photos(seed: int, count: int, shown: Sequence[str] = KNOWN) -> Iterator[Image.Image]:
    """Photos of the same few things: each at another section, turned around, or lit otherwise."""
    chance = np.random.default_rng(seed)
    originals = [_original(name) for name in shown]
    for _ in range(count):
        image = originals[chance.integers(len(originals))]
        width, height = (int(side * chance.uniform(0.6, 1)) for side in image.size)
        left = int(chance.integers(image.width - width + 1))
        top = int(chance.integers(image.height - height + 1))
        image = image.crop((left, top, left + width, top + height))
        if chance.integers(2):
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        yield ImageEnhance.Brightness(image).enhance(chance.uniform(0.8, 1.2))


def _original(name: str) -> Image.Image:
    with Image.open(PHOTOS / f"{name}.jpg") as image:
        return image.convert("RGB").resize((256, 192))


def _dark(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.3)


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(3))


def _files(images: Iterable[Image.Image]) -> list[bytes]:
    return [encode(image, "JPEG", quality=90) for image in images]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A server whose model `things` knows photos of a cat, of espresso and of a rocket."""
    home = tmp_path_factory.mktemp("drift")
    builtin = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)
    known = _files(_photos(0, 300))
    with_reference(builtin, home / "models" / "things" / "1", known, home / "photos")
    with (
        serving(
            home, "--model", "things", DRIFT__PHOTOS=WINDOW, DRIFT__PER_SECOND=10_000, RECORD="none"
        ) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
    ):
        yield http


def _send(client: httpx2.Client, images: Iterable[Image.Image]) -> dict[str, Any]:
    """Classify photos; what is said of the drift after."""
    files = _files(images)
    for start in range(0, len(files), TOGETHER):
        answer = client.post(
            "/v1/batch-classify?model=things",
            files=[("files", data) for data in files[start : start + TOGETHER]],
        )
        assert answer.json()["summary"]["failed"] == 0
    (version,) = client.get("/v1/models/things/drift").json()["versions"]
    assert version["reference"] == {"photos": 300}
    assert WINDOW <= version["photos"] <= SENT
    found: dict[str, Any] = version
    return found


def _psi(version: dict[str, Any]) -> dict[str, float]:
    return {name: part["psi"] for name, part in version["parts"].items()}


def test_photos_that_change_are_seen_and_others_are_not(client: httpx2.Client) -> None:
    for seed, (change, of) in enumerate(((_dark, "brightness"), (_blurred, "sharpness")), 1):
        same = _send(client, _photos(seed, SENT))
        assert max(_psi(same).values()) < MODERATE
        assert same["level"] == "stable"
        changed = _send(client, map(change, _photos(10 + seed, SENT)))
        assert _psi(changed)[of] > SIGNIFICANT
        assert changed["parts"][of]["level"] == changed["level"] == "significant"
    assert _psi(_send(client, _photos(13, SENT, OTHERS)))["classes"] > SIGNIFICANT


def test_the_answer_can_be_drawn(client: httpx2.Client) -> None:
    body = client.get("/v1/models/things/drift").json()
    assert (body["name"], body["enabled"], body["window"]) == ("things", True, WINDOW)
    (version,) = body["versions"]
    assert (version["version"], version["variant"]) == (1, "int8")
    assert list(version["parts"]) == [
        *("classes", "confidence", "brightness", "contrast", "sharpness", "saturation")
    ]
    for name, part in version["parts"].items():
        for one in part["bins"]:
            assert one.keys() == {"label", "low", "high", "reference", "recent"}
            assert (one["label"] is not None) == (name == "classes")
    assert {"espresso"} < {one["label"] for one in version["parts"]["classes"]["bins"]}


def test_the_builtin_has_no_reference(client: httpx2.Client) -> None:
    client.post(
        f"/v1/classify?model={BUILTIN_MODEL}", files={"file": _files(_photos(0, 1))[0]}
    ).raise_for_status()
    (version,) = client.get(f"/v1/models/{BUILTIN_MODEL}/drift").json()["versions"]
    assert (version["photos"], version["reference"], version["level"]) == (1, None, None)
    assert {part["psi"] for part in version["parts"].values()} == {None}
    (seen,) = [one for one in version["parts"]["confidence"]["bins"] if one["recent"]]
    assert (seen["reference"], seen["recent"]) == (None, 1)


def test_an_unknown_model(client: httpx2.Client) -> None:
    answer = client.get("/v1/models/nope/drift")
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


def test_where_it_is_off_that_is_told(store: Path) -> None:
    fake_bundle(store)
    settings = Settings(model_store=store, default_model="fake", drift=DriftSettings(enabled=False))
    with serving_here(settings) as server:
        httpx2.post(f"{server.url}/v1/classify", files={"file": _files(_photos(0, 1))[0]})
        body = httpx2.get(f"{server.url}/v1/models/fake/drift").json()
        assert httpx2.get(f"{server.url}/v1/models/nope/drift").status_code == 404
    assert (body["enabled"], body["versions"]) == (False, [])
