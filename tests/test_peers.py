"""The comparison with other servers: the same work for all, and nobody in another's way."""

import argparse
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from benchmarks.compute import builtin
from benchmarks.environments import PEERS, uv
from benchmarks.generator import Report, read_answer
from benchmarks.harness import PHOTOS, Failed, photos
from benchmarks.peers.__main__ import measured, top
from benchmarks.peers.contenders import Contender, ours, peers
from benchmarks.peers.measuring import answers, shares
from benchmarks.peers.model import Model
from benchmarks.processes import running

from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits

CHUNKED = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def loaded() -> LoadedVariant:
    return builtin(threads=1)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_peers_do_the_work_that_viewfinder_does(
    path: Path, loaded: LoadedVariant, model: Model
) -> None:
    photo = path.read_bytes()
    pixels = preprocess(photo, loaded.variant.preprocess, Limits())
    assert np.array_equal(model.pixels(photo), pixels)
    assert np.allclose(model.confidence(pixels), loaded.confidence(pixels), atol=1e-6)
    assert model.classify(photo)[0]["class"] == top(loaded, photo)


def test_a_server_is_asked_for_the_class_that_it_sees(loaded: LoadedVariant) -> None:
    contender = ours()
    with contender.start() as server:
        assert server.started_s > 0
        bodies = [contender.way(photo) for photo in photos()]
        seen = answers(contender, server, bodies)
    assert seen == [top(loaded, photo) for photo in photos()]


def test_a_server_that_does_not_start_leaves_the_others_alone(tmp_path: Path) -> None:
    words = "sys.exit('there is no such model')"
    started = partial(
        running,
        [sys.executable, "-c", f"import sys; {words}"],
        ready="/",
        environment={"HOME": str(tmp_path)},
    )
    own = ours()
    broken = Contender("Broken", "1", started, own.path, own.ways, own.top)
    failures: dict[str, str] = {}
    options = argparse.Namespace(rounds=2, seconds=0.1, connections=1)

    limits, rounds = measured({"broken": broken}, failures, options)

    assert len(limits) == 2
    assert rounds == {"broken": []}
    assert "there is no such model" in failures["broken"]


def test_what_uv_cannot_do_ends_the_benchmark_unless_it_goes_on_without() -> None:
    with pytest.raises(Failed, match="uv") as failed:
        uv("no-such-command")
    assert isinstance(failed.value, SystemExit)


def test_every_request_of_an_overload_is_accounted_for() -> None:
    over = shares(
        Report(
            times={
                "photo 200": [10.0, 1000.0, 1001.0],
                "photo 503": [2.0, 4.0],
                "photo 429": [6.0],
                "photo gave up": [5000.0],
                "photo broken": [1.0],
            }
        )
    )
    assert over.in_time == 2 / 8
    assert over.late == 1 / 8
    assert over.refused == 3 / 8
    assert over.refused_ms == 4
    assert over.unanswered == 2 / 8


def test_an_answer_in_chunks_is_whole_with_its_last_one() -> None:
    assert read_answer(CHUNKED + b"4\r\nbusy\r\n") is None
    assert read_answer(CHUNKED + b"4\r\nbusy\r\n0\r\n\r\n") == (503, True)
    assert read_answer(CHUNKED + b"0\r\n\r\n") == (503, True)


def test_every_peer_is_pinned_with_hashes() -> None:
    names = {contender.peer for contender in peers().values()} - {None}
    assert names == {path.stem for path in PEERS.glob("*.txt")}
    for name in names:
        lines = (PEERS / f"{name}.txt").read_text().replace("\\\n", "").splitlines()
        wanted = [line for line in lines if not line.startswith("#")]
        assert wanted
        assert all(re.match(r"\S+==\S+ .*--hash=sha256:\w{64}", line) for line in wanted)
