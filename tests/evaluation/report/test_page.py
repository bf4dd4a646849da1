"""The report, read as a browser reads it."""

import io
import re
from base64 import b64decode
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from viewfinder.datasets.photos import Photo, Skipped
from viewfinder.engines.loader import LoadedVariant
from viewfinder.evaluation.document import Comparison, Epoch, Evaluation
from viewfinder.evaluation.evaluate import evaluate
from viewfinder.evaluation.frame import Frame
from viewfinder.evaluation.ladder import VariantRow
from viewfinder.evaluation.report.page import render_report
from viewfinder.evaluation.scoring import Scored
from viewfinder.evaluation.significance import compare
from viewfinder.registry.manifest import Calibration

HOSTILE = '<script>alert("1")</script>\'"><img src=http://evil.example/x onerror=alert(2)>'
SECRET = b"taken at home"


class _Page(HTMLParser):
    """Every tag with its attributes, and all text outside the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def _evaluation(
    loaded: LoadedVariant, folder: Path, labels: tuple[str, ...], **more: Any
) -> Evaluation:
    """Everything that a report can show, with every third answer wrong."""
    random = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    photos, scores = [], random.normal(0, 1, (60, len(labels))).astype(np.float32)
    for n in range(60):
        target = n % len(labels)
        path = folder / f"<b>{n}.jpg"
        Image.new("RGB", (320, 200), (n * 4, 90, 90)).save(path, comment=SECRET)
        photos.append(Photo(path, labels[target]))
        scores[n, (target + (n % 3 == 0)) % len(labels)] += 6
    variant = loaded.variant.model_copy(
        update={"calibration": Calibration(temperature=1.5, abstain_below=0.6)}
    )
    skipped = (Skipped(Photo(folder / "<i>.png", labels[0]), "It is <damaged>."),)
    found = evaluate(variant, labels, Scored(tuple(photos), scores, skipped), seed=0, root=folder)
    made: dict[str, Any] = {
        "name": "shoes",
        "version": 3,
        "variant": "int8",
        "created": datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        "data": HOSTILE,
        "labels": len(labels),
        "splits": {"test": found, "validation": found},
        "history": [
            Epoch(
                phase=HOSTILE,
                epoch=n + 1,
                loss=2.0 / (n + 1),
                accuracy=0.5,
                validation_accuracy=0.4,
            )
            for n in range(4)
        ],
        "variants": [VariantRow(name="int8", bytes=5_000_000), VariantRow(name="float", bytes=1)],
        "keras": {"accuracy": 0.5},
        "provenance": {"configuration": {HOSTILE: HOSTILE}},
    }
    other = Evaluation(**made)
    right = np.arange(60) % 3 != 0
    comparison = Comparison.of(other, compare(~right, right, seed=0))
    return Evaluation(**{**made, "comparison": comparison, **more})


@pytest.fixture
def evaluation(loaded: LoadedVariant, tmp_path: Path) -> Evaluation:
    return _evaluation(loaded, tmp_path / "photos", ("a", "b", HOSTILE))


def _asks_for_nothing(page: _Page, html: str) -> bool:
    outside = re.compile(r"https?:|//|javascript:", re.IGNORECASE)
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}
    ]
    styles = " ".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    return (
        not any(outside.match(value) for value in addresses)
        and all(value.startswith(("#", "data:image/jpeg;base64,")) for value in addresses)
        and "url(" not in styles
        and "@import" not in styles
        and not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    )


def test_nothing_is_asked_of_anybody_and_no_label_becomes_a_tag(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    html = render_report(evaluation, photos=tmp_path / "photos")
    page = _Page(html)
    assert _asks_for_nothing(page, html)
    assert not page.of("b")
    assert not page.of("i")
    assert not any(name.startswith("on") for _, found in page.tags for name in found)
    assert HOSTILE in page.text
    assert "<b>0.jpg" in page.text
    policy = next(meta["content"] for meta in page.of("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_the_first_words_are_the_verdict(evaluation: Evaluation) -> None:
    text = " ".join(_Page(render_report(evaluation)).text.split())
    assert re.search(r"shoes@3 \(int8\) on .*23 November 2026, 09:30 UTC Right on 67% of 60", text)
    assert text.index("Right on 67%") < text.index("Most often confused") < text.index("Macro F1")
    for part in (
        "Against shoes@3",
        "On each part of the data",
        "Class by class",
        "What it takes for what",
        "Worst mistakes",
        "How far it can be believed",
        "Before calibration",
        "its threshold: 60%",
        "How training went",
        "Its variants",
        "It is <damaged>.",
        "Keras itself",
    ):
        assert part in text


def test_the_worst_mistakes_have_small_pictures_without_a_word_about_them(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    (tmp_path / "photos" / evaluation.result.worst[3].path).unlink()
    page = _Page(render_report(evaluation, photos=tmp_path / "photos"))
    pictures = page.of("img")
    assert len(pictures) == len(evaluation.result.worst) - 1
    assert "no picture" in page.text
    for picture in pictures:
        data = b64decode(picture["src"].removeprefix("data:image/jpeg;base64,"))
        assert SECRET not in data
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (160, 100)
            assert not image.getexif()
        assert picture["alt"].startswith("Labelled ")


def test_without_a_folder_there_are_no_pictures(evaluation: Evaluation) -> None:
    assert not _Page(render_report(evaluation)).of("img")


def test_every_plot_can_be_heard_and_every_table_has_headings(evaluation: Evaluation) -> None:
    page = _Page(render_report(evaluation))
    for svg in page.of("svg"):
        assert svg.get("aria-label") or svg.get("aria-hidden") == "true"
    assert all(cell["scope"] in {"row", "col"} for cell in page.of("th"))
    assert page.of("html")[0]["lang"] == "en"
    ids = {found["id"] for _, found in page.tags if "id" in found}
    assert {link["href"].removeprefix("#") for link in page.of("a")} <= ids


def test_many_classes_are_a_picture_and_a_list_of_pairs(
    loaded: LoadedVariant, tmp_path: Path
) -> None:
    labels = tuple(f"class {n}" for n in range(55))
    html = render_report(_evaluation(loaded, tmp_path / "photos", labels))
    page = _Page(html)
    assert not any(table.get("class") == "heat" for table in page.of("table"))
    assert any(svg["viewbox"] == "0 0 55 55" for svg in page.of("svg"))
    assert "Confused most" in page.text
    assert "5 more classes" in page.text


def test_a_bare_evaluation_has_no_empty_rooms(loaded: LoadedVariant, tmp_path: Path) -> None:
    photos = tuple(Photo(tmp_path / f"{n}.jpg", "ab"[n % 2]) for n in range(4))
    scores = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]] * 3
    found = evaluate(loaded.variant, "ab", Scored(photos, scores, ()), seed=0)
    bare = Evaluation(
        name="m",
        version=1,
        variant="v",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        data="d",
        labels=2,
        splits={"all": found},
    )
    page = _Page(render_report(bare))
    assert "It made no mistake." in page.text
    for absent in ("Against", "Worst mistakes", "How training went", "Its variants", "left out"):
        assert absent not in page.text
    assert "nan" not in page.text.lower().split()


def test_a_training_without_numbers_is_drawn_as_far_as_they_go(
    loaded: LoadedVariant, tmp_path: Path
) -> None:
    history = (Epoch(phase="head", epoch=1), Epoch(phase="head", epoch=2, accuracy=0.5))
    html = render_report(_evaluation(loaded, tmp_path / "photos", ("a", "b"), history=history))
    assert "How training went" in html
    assert "Loss on the training photos" not in html


def test_a_frame_turns_numbers_into_places() -> None:
    frame = Frame(10, 20, 100, 50, x_high=4, y_low=0.5, y_high=1.0)
    assert (frame.x(0), frame.x(4), frame.y(1.0), frame.y(0.5)) == (10, 110, 20, 70)
    assert frame.line([(0, 1.0), (2, None), (4, 0.75)]) == "10.0,20.0 110.0,45.0"
    assert Frame(0, 0, 10, 10, x_high=0, y_low=1, y_high=1).line([(0, 1.0)]) == "0.0,0.0"
