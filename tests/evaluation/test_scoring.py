"""The way from files to scores."""

import os
import threading
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.support import STEPS, grey_photos
from tests.support import EXPECTED, PHOTOS, Engine, empty_png, fake_bundle, photo

from viewfinder.datasets.photos import Photo
from viewfinder.engines.fake import FakeEngine
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import BundleError, DatasetError
from viewfinder.evaluation.scoring import Scored, confidences, score
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits


def _score(loaded: LoadedVariant, photos: list[Photo], threads: int = 2) -> Scored:
    return score(loaded, photos, limits=Limits(), threads=threads, progress=lambda *_: None)


def test_scores_are_those_of_http_to_the_last_bit(client: httpx2.Client) -> None:
    loaded = load_variant(scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL), threads=2)
    photos = [Photo(PHOTOS / name, "") for name in sorted(EXPECTED)]
    found = confidences(
        _score(loaded, photos).scores,
        output=loaded.variant.output,
        temperature=loaded.variant.calibration.temperature,
    )
    for one, row in zip(photos, found, strict=True):
        files = {"file": photo(one.path.name)}
        classes = client.post("/v1/classify?top_k=100", files=files).json()["classes"]
        assert len(classes) == 100
        for answer in classes:
            assert answer["confidence"] == float(row[answer["index"]])


def test_scores_come_in_the_order_of_the_photos(loaded: LoadedVariant, photos: list[Photo]) -> None:
    told: list[tuple[int, int]] = []
    scored = score(
        loaded, photos, limits=Limits(), threads=3, progress=lambda *how: told.append(how)
    )
    assert list(scored.photos) == photos
    assert scored.scores.dtype == np.float32
    labels = [f"step-{step}" for step in scored.scores.argmax(axis=1)]
    assert labels[1:] == [one.label for one in photos[1:]]
    assert labels[0] == "step-1"
    assert told == [(done, len(photos)) for done in range(1, len(photos) + 1)]


def test_what_cannot_be_decoded_is_skipped_with_its_reason(
    loaded: LoadedVariant, photos: list[Photo], tmp_path: Path
) -> None:
    contents = {
        "broken.png": empty_png(8, 8),
        "large.png": empty_png(20_000, 20_000),
        "long.png": b"\x89PNG\r\n\x1a\n" + bytes(Limits().image_bytes),
        "notes.txt": b"no photo",
        "empty.png": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.png")
    names = [*contents, "pipe.png", "gone.png"]
    bad = [Photo(tmp_path / name, "step-0") for name in names]
    scored = _score(loaded, [bad[0], *photos, *bad[1:]])
    assert list(scored.photos) == photos
    assert len(scored.scores) == len(photos)
    reasons = {one.photo.path.name: one.reason for one in scored.skipped}
    assert list(reasons) == names
    for name, words in {
        "broken.png": "damaged",
        "large.png": "limit",
        "long.png": "over the limit of 10,485,760 bytes",
        "notes.txt": "not JPEG",
        "empty.png": "empty",
        "pipe.png": "not a file",
        "gone.png": "cannot be read",
    }.items():
        assert words in reasons[name]


def test_where_no_photo_is_left_there_is_nothing_to_say(
    loaded: LoadedVariant, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"no photo")
    with pytest.raises(DatasetError, match=r"a\.png.*not JPEG"):
        _score(loaded, [Photo(tmp_path / "a.png", "step-0")])


class _Taken(list[Photo]):
    """Photos that know how many of them have been taken up."""

    taken = 0

    def __getitem__(self, place: Any) -> Any:
        self.taken += 1
        return super().__getitem__(place)


def test_few_photos_are_in_hand_at_a_time(loaded: LoadedVariant, photos: list[Photo]) -> None:
    watched, in_hand = _Taken(photos), []

    def progress(done: int, _total: int) -> None:
        in_hand.append(watched.taken - done)

    score(loaded, watched, limits=Limits(), threads=2, progress=progress)
    assert len(in_hand) == len(photos)
    assert max(in_hand) < 4


def test_an_engine_that_likes_batches_gets_them(
    store: Path, tmp_path: Path, engine: Engine
) -> None:
    loaded = load_variant(
        fake_bundle(store, classes=STEPS, max_useful_batch=5, device="gpu"), threads=1
    )
    engine.forget()
    photos = grey_photos(tmp_path / "photos")
    photos[2].path.write_bytes(b"no photo")
    scored = _score(loaded, photos, threads=1)
    assert [len(call) for call in engine.calls] == [4, 5, 2]
    assert [f"step-{step}" for step in scored.scores.argmax(axis=1)] == [
        one.label for one in scored.photos
    ]


def test_threads_work_side_by_side(
    loaded: LoadedVariant, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=30)
    really = FakeEngine.predict

    def predict(engine: FakeEngine, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        both.wait()  # breaks, and fails the test, if the other never comes
        return really(engine, batch)

    monkeypatch.setattr(FakeEngine, "predict", predict)
    assert len(_score(loaded, photos, threads=2).photos) == len(photos)


def test_a_failing_engine_ends_the_work(store: Path, photos: list[Photo]) -> None:
    loaded = load_variant(fake_bundle(store, classes=STEPS, poison=11), threads=2)
    with pytest.raises(ValueError, match="poison"):
        _score(loaded, photos)


def test_a_graph_without_numbers_is_refused(
    loaded: LoadedVariant, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(_engine: FakeEngine, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(batch), STEPS), np.nan, np.float32)

    monkeypatch.setattr(FakeEngine, "predict", predict)
    with pytest.raises(BundleError, match="no finite numbers"):
        _score(loaded, photos)
