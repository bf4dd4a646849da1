"""Draw goodput against offered load, from the table of overload in docs/benchmarks.md.

    python scripts/draw_goodput.py

Whoever measures anew changes the table and draws again; `tests/docs/test_pictures.py` notices if
the picture and the table say different things.
"""

import math
import re
from pathlib import Path

_ROOT = Path(__file__).parents[1]
TABLE = _ROOT / "docs" / "benchmarks.md"
PICTURE = _ROOT / "docs" / "images" / "goodput.svg"

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 560, 64, 284
_LOWEST, _HIGHEST = 0.5, 16.0
_TICKS_X, _TICKS_Y = (0.5, 1, 2, 5, 10), (0.0, 0.25, 0.5, 0.75, 1.0)
_OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 330" role="img" '
    'aria-labelledby="head said">'
)
_STYLE = """
svg { color-scheme: light dark; --paper: #fff; --ink: #16201f; --quiet: #57646a; --line: #d5dcdd;
  --accent: #0f766e; background: var(--paper); }
@media (prefers-color-scheme: dark) { svg { --paper: #182020; --ink: #e8eeee; --quiet: #9fb0b2;
  --line: #314041; --accent: #5eead4; } }
text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
.head { font-size: 16px; font-weight: 600; fill: var(--ink); }
.value { font-weight: 600; fill: var(--ink); }
.grid { stroke: var(--line); }
.ideal { fill: none; stroke: var(--quiet); stroke-dasharray: 5 4; }
.seen { fill: none; stroke: var(--accent); stroke-width: 2; }
circle { fill: var(--accent); }
"""


def goodputs(document: str) -> dict[float, float]:
    """Goodput by offered load, both in peaks, from the text of docs/benchmarks.md.

    Raises:
        ValueError: The table is not there.
    """
    found = re.search(
        r"^\| \|((?: [\d.]+ x peak \|)+).*\n.*\n\| goodput[^|]*\|(.*)\|$", document, re.MULTILINE
    )
    if found is None:
        raise ValueError("there is no table of goodput at multiples of the peak")
    loads = [float(load) for load in re.findall(r"([\d.]+) x peak", found[1])]
    shares = [float(share) for share in found[2].split("|")[: len(loads)]]
    # Below the peak the table tells the share of what is asked.
    return {load: share * min(load, 1) for load, share in zip(loads, shares, strict=True)}


def draw(points: dict[float, float]) -> str:
    """A whole SVG document, in light or dark as the reader has it."""
    said = "; ".join(
        f"{load:g} times the peak offered, {share:.2f} answered in time"
        for load, share in points.items()
    )
    rising = [(load / 20, load / 20) for load in range(int(20 * _LOWEST), 21)]
    best = [*rising, (_HIGHEST, 1.0)]
    lines = [
        _OPENING,
        '<title id="head">Goodput against offered load</title>',
        f'<desc id="said">{said}. Both are in peaks; the load has a logarithmic scale.</desc>',
        f"<style>{_STYLE}</style>",
        f'<text class="head" x="{_LEFT}" y="24">Goodput against offered load</text>',
        f'<text x="{_LEFT}" y="44">answered in time, in peaks</text>',
        *_grid(),
        f'<polyline class="ideal" points="{_places(best)}"/>',
        f'<text x="{_RIGHT}" y="{_y(1) - 8}" text-anchor="end">at best</text>',
        f'<polyline class="seen" points="{_places(list(points.items()))}"/>',
    ]
    for load, share in points.items():
        x, y = _x(load), _y(share)
        lines += [
            f'<circle cx="{x}" cy="{y}" r="4"/>',
            f'<text class="value" x="{x}" y="{y + 20}" text-anchor="middle">{share:.2f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _grid() -> list[str]:
    lines = []
    for share in _TICKS_Y:
        y = _y(share)
        lines += [
            f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{share:g}</text>',
        ]
    lines += [
        f'<text x="{_x(load)}" y="{_BOTTOM + 18}" text-anchor="middle">{load:g}</text>'
        for load in _TICKS_X
    ]
    middle = (_LEFT + _RIGHT) // 2
    return [
        *lines,
        f'<text x="{middle}" y="{_BOTTOM + 38}" text-anchor="middle">offered, in peaks</text>',
    ]


def _x(load: float) -> float:
    share = math.log(load / _LOWEST) / math.log(_HIGHEST / _LOWEST)
    return round(_LEFT + (_RIGHT - _LEFT) * share, 1)


def _y(share: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * share, 1)


def _places(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{_x(load)},{_y(share)}" for load, share in points)


def main() -> None:
    """Draw it."""
    PICTURE.write_text(draw(goodputs(TABLE.read_text("utf-8"))), "utf-8")
    print(f"drawn in {PICTURE.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
