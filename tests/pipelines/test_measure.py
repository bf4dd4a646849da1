"""The speed of a backbone, measured and remembered."""

from pathlib import Path

import pytest

from viewfinder.pipelines.speeds import Speed, read_speeds, remember_speeds


def test_speeds_are_remembered_beside_those_of_before(tmp_path: Path) -> None:
    first, second = Speed(4.25, "2026-11-22"), Speed(90.1, "2026-11-23")
    assert read_speeds(tmp_path) == {}
    remember_speeds(tmp_path, {"mobilenet-v3-small": first})
    remember_speeds(tmp_path, {"resnet50": second})
    assert read_speeds(tmp_path) == {"mobilenet-v3-small": first, "resnet50": second}


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_backbone_is_measured() -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    from tests.modeling.graphs import small

    from viewfinder.pipelines.measure import measure

    assert measure(small("mobilenet-v3-small")) > 0
