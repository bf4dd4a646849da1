"""The speed of a backbone, measured and remembered."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from viewfinder.pipelines.speeds import Speed, read_speeds, remember_speeds


def test_speeds_are_remembered_beside_those_of_before(tmp_path: Path) -> None:
    first, second = Speed(4.25, "2026-11-22"), Speed(90.1, "2026-11-23")
    assert read_speeds(tmp_path) == {}
    remember_speeds(tmp_path, {"mobilenet-v3-small": first})
    remember_speeds(tmp_path, {"resnet50": second})
    assert read_speeds(tmp_path) == {"mobilenet-v3-small": first, "resnet50": second}


def test_of_several_that_measure_at_once_none_loses_what_another_has_found(tmp_path: Path) -> None:
    names = [f"backbone-{number}" for number in range(16)]
    begin = Barrier(len(names))

    def remember(name: str) -> None:
        begin.wait()
        remember_speeds(tmp_path, {name: Speed(1.0, "2026-11-22")})

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(remember, names))
    assert read_speeds(tmp_path).keys() == set(names)


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    remember_speeds(tmp_path, {"resnet50": Speed(1.0, "2026-11-22")})
    assert read_speeds(tmp_path) == {}


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_backbone_is_measured() -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    from tests.modeling.graphs import small

    from viewfinder.pipelines.measure import measure

    assert measure(small("mobilenet-v3-small")) > 0
