"""What was seen of all servers: a table for the terminal, and a plot for the documentation."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.harness import ROOT
from benchmarks.peers.measuring import Seen

_PLOT = ROOT / "docs" / "images" / "peers.svg"
# Grey that can be read on white and on black, and one colour that stands out from it on both.
_INK, _OTHERS, _OURS = "#808890", "#98a2ad", "#2f81f7"
_NOT_HAD = {"TensorFlow Serving": "no binary could be had from PyPI, Debian or npm"}


@dataclass(frozen=True, slots=True)
class Row:
    """One server.

    Attributes:
        name: Of the server.
        version: Of the server.
        installed_mb: Its environment on the disk; None where it could not be installed.
        seen: Medians; None where nothing was measured.
    """

    name: str
    version: str
    installed_mb: float | None
    seen: Seen | None


def show(rows: Sequence[Row], ceiling: float, failures: Mapping[str, str]) -> None:
    """Print the table, Viewfinder first, and why some are not in it."""
    own = rows[0].seen
    print(
        f"\nlimit: {ceiling:.1f} images/s\n\n"
        f"{'':20}{'images/s':>9}{'of the':>8}{'of View-':>9}{'one client, ms':>16}"
        f"{'first':>8}{'memory, MB':>14}{'install':>9}   {'at twice its peak, %':^36}\n"
        f"{'':20}{'':9}{'limit':>8}{'finder':>9}{'p50':>8}{'p99':>8}"
        f"{'s':>8}{'idle':>7}{'load':>7}{'MB':>9}   "
        f"{'in 1 s':>8}{'late':>8}{'refused':>9}{'no answer':>11}"
    )
    for row in rows:
        name = f"{row.name} {row.version}"
        size = "-" if row.installed_mb is None else f"{row.installed_mb:.0f}"
        if row.seen is None:
            print(f"{name:20}not measured: see below")
            continue
        seen, over = row.seen, row.seen.overload
        ratio = seen.rate / own.rate if own is not None else float("nan")
        print(
            f"{name:20}{seen.rate:9.1f}{seen.rate / ceiling:8.2f}{ratio:9.2f}"
            f"{seen.p50:8.1f}{seen.p99:8.1f}{seen.first_answer_s:8.1f}"
            f"{seen.idle_mb:7.0f}{seen.loaded_mb:7.0f}{size:>9}   "
            f"{over.in_time:8.0%}{over.late:8.0%}{over.refused:9.0%}{over.unanswered:11.0%}"
        )
    for name, why in _NOT_HAD.items():
        print(f"{name:20}not measured: {why}")
    for name, why in failures.items():
        print(f"\n{name} failed:\n{why}")


def draw(rows: Sequence[Row], ceiling: float) -> None:
    """Bars, readable on light and on dark pages."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed (make bench installs it)")
        return
    matplotlib = importlib.import_module("matplotlib")
    shown = [(row.name, row.seen) for row in rows[::-1] if row.seen is not None]
    panels: dict[str, Callable[[Seen], float]] = {
        "images/s": lambda seen: seen.rate,
        "one client, p99, ms": lambda seen: seen.p99,
        "first answer, s": lambda seen: seen.first_answer_s,
        "answered within 1 s at twice its peak, %": lambda seen: 100 * seen.overload.in_time,
    }
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "peers",
        "font.family": "sans-serif",
        "text.color": _INK,
        "axes.edgecolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with matplotlib.rc_context(style):
        figure = importlib.import_module("matplotlib.figure").Figure((9, 5), layout="constrained")
        for axes, (title, number) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
            numbers = [number(seen) for _, seen in shown]
            colours = [_OURS if name == rows[0].name else _OTHERS for name, _ in shown]
            bars = axes.barh([name for name, _ in shown], numbers, color=colours)
            axes.bar_label(bars, fmt="%.3g", padding=3)
            axes.set_title(f"{title} (dotted: the limit)" if title == "images/s" else title)
            axes.margins(x=0.15)
            axes.spines[["top", "right"]].set_visible(False)
            if title == "images/s":
                axes.axvline(ceiling, color=_INK, linestyle=":")
        figure.savefig(_PLOT, transparent=True, metadata={"Date": None})
    print(f"drawn in {_PLOT.relative_to(ROOT)}")
