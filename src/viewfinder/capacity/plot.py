"""Throughput and waiting against clients, as an SVG that needs nothing beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from viewfinder.capacity.measured import Measured
from viewfinder.evaluation.frame import Frame
from viewfinder.evaluation.report.environment import environment_of

_TEMPLATES = Path(__file__).parent / "templates"
_LEFT, _WIDTH, _HEIGHT = 64, 600, 170
_TOP, _GAP = 92, 58
_PARTS = 4
_LINE = 14


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Attributes:
        name: What stands at its end.
        style: A class of the style sheet.
        points: Its numbers, from left to right.
        label_y: The height of its name.
        marked: Whether the point of saturation is larger than the others.
    """

    name: str
    style: str
    points: tuple[tuple[float, float], ...]
    label_y: float = 0.0
    marked: bool = False


def plot(measured: Measured) -> str:
    """Draw what the chosen server did.

    Returns:
        A whole SVG document, in light or dark as the reader has it.
    """
    served, limit = measured.chosen, measured.compute and measured.compute.both.per_second
    steps, best = served.steps, served.best
    rates = _frame(_TOP, [*(step.rate for step in steps), limit or 0], len(steps))
    times = _frame(_TOP + _HEIGHT + _GAP, [step.p99_ms for step in steps], len(steps))
    slow = Line("p99", "second", tuple((n, step.p99_ms) for n, step in enumerate(steps)))
    usual = Line("p50", "first", tuple((n, step.p50_ms) for n, step in enumerate(steps)))
    environment = environment_of(_TEMPLATES)
    environment.globals["ticks"] = _ticks
    head = f"{measured.model} {measured.variant}: {measured.capacity:.3g} photos/s"
    return environment.get_template("bench.svg.j2").render(
        head=head,
        said=f"{head}; saturated at {best.clients} clients with p99 {best.p99_ms:.4g} ms",
        under=measured.url or f"{measured.machine}, {measured.cores} cores",
        names=[str(step.clients) for step in steps],
        best=steps.index(best),
        height=_HEIGHT,
        limit=limit,
        rates=rates,
        times=times,
        rate_lines=[
            Line(
                "",
                "first",
                tuple((n, step.rate) for n, step in enumerate(steps)),
                marked=True,
            )
        ],
        time_lines=_named((slow, usual), times),
    )


def _frame(top: float, values: Sequence[float], count: int) -> Frame:
    return Frame(
        _LEFT, top, _WIDTH, _HEIGHT, x_high=max(1, count - 1), y_high=_ticks(max(values))[-1]
    )


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 on, the last of which is no less than the highest."""
    if most <= 0:
        return [0.0, 1.0]
    size = 10.0 ** math.floor(math.log10(most / _PARTS))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times * _PARTS >= most)
    # What is written has few digits; so have these.
    return [float(f"{number * step:.6g}") for number in range(math.ceil(most / step - 1e-9) + 1)]


def _named(lines: Sequence[Line], frame: Frame) -> list[Line]:
    """Lines with their names at their ends, one under the other."""
    placed: list[Line] = []
    for line in lines:
        y = frame.y(line.points[-1][1]) + 4
        if placed:
            y = max(y, placed[-1].label_y + _LINE)
        placed.append(Line(line.name, line.style, line.points, y, line.marked))
    return placed
