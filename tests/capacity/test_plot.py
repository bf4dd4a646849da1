"""Pictures of what was measured."""

from dataclasses import replace
from xml.parsers import expat

import pytest
from tests.capacity.cases import STEPS, elsewhere, measured, process

from viewfinder.capacity.bars import bar, bars
from viewfinder.capacity.measured import Measured, Served
from viewfinder.capacity.plot import plot


def _elements(document: str) -> list[tuple[str, dict[str, str]]]:
    """Each element of a well-formed document, with its attributes."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: found.append((name, attributes))
    parser.Parse(document, True)
    return found


@pytest.mark.parametrize(
    "found",
    [
        measured(),
        elsewhere(),
        measured(served=Served(STEPS[:1], process())),
        measured(split=Served((replace(STEPS[1], rate=1e6),), process(2, 1))),
        measured(model="<script>&", machine='"'),
    ],
)
def test_a_plot_is_an_image_with_a_point_for_each_figure(found: Measured) -> None:
    (_, whole), *drawn = _elements(plot(found))
    names = [name for name, _ in drawn]
    assert names.count("circle") == 3 * len(found.chosen.steps)
    assert "script" not in names
    _, _, width, height = (float(number) for number in whole["viewBox"].split())
    for name, attributes in drawn:
        if name == "text":
            assert 0 <= float(attributes["x"]) <= width
            assert 0 <= float(attributes["y"]) <= height


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0, 4) == "    "
    assert bar(1, 4) == "████"
    assert bar(0.5, 4) == "██  "
    assert bar(1 / 32, 4) == "▏   "
    assert bars([5, 10], 2) == ["█ ", "██"]
    assert bars([0.0], 2) == ["  "]
    assert bars([], 2) == []
