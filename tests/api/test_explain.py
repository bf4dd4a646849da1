"""`explain=heatmap` on the real server, with the real model and real photos."""

import base64
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from tests.support import (
    EXPECTED,
    Engine,
    asking,
    encode,
    eventually,
    fake_bundle,
    grey,
    photo,
    read_answer,
    request_of,
    serving_here,
)

from viewfinder.settings import ExplainSettings, Settings

JPEG = {"Content-Type": "image/jpeg"}
HEATMAP = "/v1/classify?explain=heatmap"
PLAIN = (200, 190, 180)
# The builtin model looks at so much of the shorter side.
SEEN = 0.875


def pasted(
    name: str, corner: tuple[float, float], size: tuple[int, int] = (512, 512)
) -> Image.Image:
    """A plain canvas with a small photo on it, whose top left corner is given as fractions."""
    canvas = Image.new("RGB", size, PLAIN)
    with Image.open(io.BytesIO(photo(name))) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
    square = square.resize((256, 256))
    canvas.paste(square, (round(corner[0] * size[0]), round(corner[1] * size[1])))
    return canvas


def explained(client: httpx2.Client, data: bytes) -> dict[str, Any]:
    answer = client.post(HEATMAP, content=data, headers=JPEG)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def hottest(explanation: dict[str, Any]) -> tuple[float, float]:
    """Where in the photo the hottest place of the grid has its middle, as fractions."""
    values, box = explanation["values"], explanation["box"]
    most = max(max(row) for row in values)
    row = next(n for n, line in enumerate(values) if most in line)
    column = values[row].index(most)
    return (
        box["x"] + (column + 0.5) / explanation["columns"] * box["width"],
        box["y"] + (row + 0.5) / explanation["rows"] * box["height"],
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_heat_map_has_the_promised_form(client: httpx2.Client, name: str) -> None:
    body = explained(client, photo(name))
    explanation = body["explanation"]
    assert explanation["method"] == "occlusion"
    assert explanation["class"] == body["class"]
    assert explanation["index"] == body["classes"][0]["index"]
    values = explanation["values"]
    assert len(values) == explanation["rows"]
    assert all(len(row) == explanation["columns"] for row in values)
    flat = [value for row in values for value in row]
    assert min(flat) >= 0
    assert max(flat) == 1
    assert all(value == round(value, 3) for value in flat)
    assert set(explanation["box"]) == {"x", "y", "width", "height"}


@pytest.mark.parametrize("name", ["sandal.jpg", "espresso.jpg"])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_it_is_hottest_where_the_object_is(
    client: httpx2.Client, name: str, corner: tuple[float, float]
) -> None:
    body = explained(client, encode(pasted(name, corner)))
    assert body["class"] in EXPECTED[name]
    x, y = hottest(body["explanation"])
    assert corner[0] < x < corner[0] + 0.5
    assert corner[1] < y < corner[1] + 0.5


@pytest.mark.parametrize("size", [(1024, 512), (512, 1024)])
def test_of_a_wide_or_tall_photo_the_box_is_the_part_that_the_model_sees(
    client: httpx2.Client, size: tuple[int, int]
) -> None:
    width, height = size
    corner = (0.25, 0.0) if width > height else (0.0, 0.25)
    explanation = explained(client, encode(pasted("espresso.jpg", corner, size)))["explanation"]
    short = min(size) * SEEN
    assert explanation["box"] == pytest.approx(
        {
            "x": (width - short) / 2 / width,
            "y": (height - short) / 2 / height,
            "width": short / width,
            "height": short / height,
        }
    )
    x, y = hottest(explanation)
    assert corner[0] < x < corner[0] + 256 / width
    assert corner[1] < y < corner[1] + 256 / height


def test_a_photo_that_lies_on_its_side_is_explained_as_it_is_shown(client: httpx2.Client) -> None:
    upright = pasted("espresso.jpg", (0.25, 0.0), (1024, 512))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    lying = encode(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    turned = explained(client, lying)
    straight = explained(client, encode(upright))
    for name in ("class", "explanation"):
        assert turned[name] == straight[name]


def test_without_it_an_answer_has_no_such_field(client: httpx2.Client) -> None:
    plain = client.post("/v1/classify", content=photo("cat.jpg"), headers=JPEG)
    none = client.post("/v1/classify?explain=none", content=photo("cat.jpg"), headers=JPEG)
    assert list(plain.json()) == list(none.json())
    assert "explanation" not in plain.json()


def test_what_was_answered_before_is_explained_as_well(client: httpx2.Client) -> None:
    data = encode(pasted("cat.jpg", (0.1, 0.2)))
    plain = client.post("/v1/classify", content=data, headers=JPEG).json()
    body = explained(client, data)
    assert body["cached"] is True
    assert body["classes"] == plain["classes"]
    assert max(max(row) for row in body["explanation"]["values"]) == 1
    assert body["timing_ms"]["total"] > body["timing_ms"]["queue"]


@pytest.mark.parametrize("form", ["form", "json"])
def test_it_is_asked_for_in_the_body_too(client: httpx2.Client, form: str) -> None:
    if form == "form":
        answer = client.post(
            "/v1/classify",
            files={"file": grey(3)},
            data={"explain": "heatmap", "model": "fake"},
        )
    else:
        image = base64.b64encode(grey(3)).decode()
        answer = client.post(
            "/v1/classify", json={"image": image, "explain": "heatmap", "model": "fake"}
        )
    explanation = answer.json()["explanation"]
    assert explanation["class"] == "step-0"
    assert not any(value for row in explanation["values"] for value in row)


def test_in_a_batch_each_photo_has_its_own(client: httpx2.Client) -> None:
    corners = [(0.0, 0.0), (0.5, 0.5)]
    files = [("files", encode(pasted("espresso.jpg", corner))) for corner in corners]
    files.append(("files", b"no photo"))
    answer = client.post("/v1/batch-classify?explain=heatmap", files=files)
    first, second, broken = answer.json()["results"]
    assert max(hottest(first["result"]["explanation"])) < 0.5
    assert min(hottest(second["result"]["explanation"])) > 0.5
    assert broken["error"]["code"] == "unsupported_media_type"


def test_in_a_batch_without_it_no_answer_has_the_field(client: httpx2.Client) -> None:
    answer = client.post("/v1/batch-classify", files=[("files", photo("cat.jpg"))])
    assert "explanation" not in answer.json()["results"][0]["result"]


@pytest.mark.parametrize("value", ["everything", "", "true"])
def test_anything_else_is_refused(client: httpx2.Client, value: str) -> None:
    answer = client.post(f"/v1/classify?explain={value}", content=grey(0), headers=JPEG)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "explain"


@pytest.mark.parametrize("place", ["query", "form"])
def test_a_job_refuses_it_and_says_why(client: httpx2.Client, place: str) -> None:
    said = {"explain": "heatmap"}
    answer = client.post(
        "/v1/jobs",
        files=[("files", grey(0))],
        params=said if place == "query" else {},
        data=said if place == "form" else {},
    )
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == "invalid_parameter"
    assert "results are kept" in body["detail"]
    assert body["errors"][0]["field"] == "explain"


def test_a_job_takes_none(client: httpx2.Client) -> None:
    files = [("files", grey(0))]
    assert client.post("/v1/jobs?explain=none", files=files).status_code == 202


def test_where_it_is_switched_off_it_is_refused(store: Path) -> None:
    fake_bundle(store)
    settings = Settings(
        model_store=store, default_model="fake", explain=ExplainSettings(enabled=False)
    )
    with (
        serving_here(settings) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
    ):
        for path, field in (("/v1/classify", "file"), ("/v1/batch-classify", "files")):
            answer = http.post(f"{path}?explain=heatmap", files={field: grey(0)})
            assert answer.status_code == 422
            assert answer.json()["code"] == "invalid_parameter"
            assert http.post(f"{path}?explain=none", files={field: grey(0)}).status_code == 200


def test_whoever_hangs_up_ends_it(store: Path, engine: Engine) -> None:
    fake_bundle(store, milliseconds=10)
    with serving_here(Settings(model_store=store, default_model="fake", threads=1)) as server:
        engine.forget()
        with asking(server, request_of(grey(10), path=HEATMAP)):
            eventually(lambda: len(engine.calls) > 3)
        eventually(lambda: server.requests == 0)
        asked = len(engine.calls)
        assert asked < 40
        with asking(server, request_of(grey(200))) as connection:
            assert read_answer(connection).status == 200
        assert len(engine.calls) <= asked + 2


def test_a_batch_takes_one_turn_at_a_time(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    with (
        serving_here(Settings(model_store=store, default_model="fake", threads=2)) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
        ThreadPoolExecutor() as side_by_side,
    ):
        turns = server.services.classify.turns
        engine.forget()
        engine.open.clear()
        files = [("files", grey(bright)) for bright in (0, 16, 32, 48)]
        batch = side_by_side.submit(http.post, "/v1/batch-classify?explain=heatmap", files=files)
        assert engine.entered.acquire(timeout=20)
        with asking(server, request_of(grey(200), path=HEATMAP)) as connection:
            eventually(lambda: turns.here > 1)
            engine.open.set()
            assert read_answer(connection).status == 200
        assert batch.result().json()["summary"]["succeeded"] == 4
    order = list(dict.fromkeys(brightness for (brightness,) in engine.calls))
    assert order == [0, 200, 16, 32, 48]


def test_a_batch_with_feature_maps_is_worked_on_side_by_side(store: Path, engine: Engine) -> None:
    fake_bundle(store, head=np.eye(16, dtype=np.float32))
    with (
        serving_here(Settings(model_store=store, default_model="fake", threads=2)) as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
        ThreadPoolExecutor() as side_by_side,
    ):
        engine.forget()
        engine.open.clear()
        files = [("files", grey(bright)) for bright in (0, 16)]
        batch = side_by_side.submit(http.post, "/v1/batch-classify?explain=heatmap", files=files)
        assert engine.entered.acquire(timeout=20)
        assert engine.entered.acquire(timeout=20)
        engine.open.set()
        assert batch.result().json()["summary"]["succeeded"] == 2


def test_past_its_deadline_it_is_refused(store: Path, engine: Engine) -> None:
    fake_bundle(store)
    with serving_here(Settings(model_store=store, default_model="fake", threads=1)) as server:
        engine.forget()
        engine.open.clear()
        sent = time.monotonic()
        request = request_of(grey(10), "X-Request-Timeout-Ms: 500", path=HEATMAP)
        with asking(server, request) as connection:
            assert engine.entered.acquire(timeout=20)  # the photo's own question began in time
            eventually(lambda: time.monotonic() > sent + 1)
            engine.open.set()
            answer = read_answer(connection)
    assert answer.status == 504
    assert json.loads(answer.body)["code"] == "deadline_exceeded"
    assert len(engine.calls) == 1


def test_the_document_names_both_values_where_both_are_taken(client: httpx2.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    def values(path: str) -> dict[str, Any]:
        parameters = paths[path]["post"]["parameters"]
        schema: dict[str, Any] = next(p["schema"] for p in parameters if p["name"] == "explain")
        return schema

    for path in ("/v1/classify", "/v1/batch-classify"):
        assert values(path)["enum"] == ["none", "heatmap"]
    assert values("/v1/jobs")["const"] == "none"
