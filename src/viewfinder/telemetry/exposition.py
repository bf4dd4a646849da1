"""Metrics as text for Prometheus, of all workers together.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import add

from viewfinder.telemetry.cells import Labels, Numbers
from viewfinder.telemetry.instruments import Combine, Family

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COMBINED: dict[Combine, Callable[[Iterable[float]], float]] = {
    "sum": sum,
    "min": min,
    "max": max,
}

Totals = dict[str, dict[Labels, list[float]]]
"""The numbers of each series by the name of its metric, and the values of its labels."""


def total(families: Iterable[Family], workers: Sequence[Numbers]) -> Totals:
    """What the workers have counted, together; gauges are those of the living alone.

    Args:
        families: The metrics that are wanted.
        workers: All workers.
    """
    totals: Totals = {}
    for family in families:
        series = totals[family.name] = {}
        for worker in workers:
            if family.kind == "gauge" and worker.pid is None:
                continue
            # Copied: others may be added meanwhile.
            for labels, run in list(worker.series.get(family.name, {}).items()):
                values = list(worker.values[run.start : run.stop])
                known = series.get(labels)
                series[labels] = values if known is None else _together(family, known, values)
    return totals


def _together(family: Family, one: list[float], other: list[float]) -> list[float]:
    if family.kind != "gauge":
        return list(map(add, one, other))
    said = [value for value in (*one, *other) if not math.isnan(value)]
    if not said:
        return one
    return [_COMBINED[family.combine](said)]


class Exposition:
    """Writes the text. It remembers the part of a line that stays the same.

    Args:
        families: All metrics, in their order.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)
        self._known: dict[tuple[str, Labels], list[str]] = {}

    def render(self, totals: Totals) -> bytes:
        """The text of all metrics that have a value."""
        lines: list[str] = []
        for family in self._families:
            of_kind = _histogram if family.kind == "histogram" else _single
            found = [
                line
                for labels, values in totals.get(family.name, {}).items()
                for line in of_kind(self._prefixes(family, labels), values)
            ]
            if found:
                description = family.description.replace("\\", r"\\").replace("\n", r"\n")
                lines.append(f"# HELP {family.name} {description}\n")
                lines.append(f"# TYPE {family.name} {family.kind}\n")
                lines += found
        return "".join(lines).encode()

    def _prefixes(self, family: Family, labels: Labels) -> list[str]:
        known = self._known.get((family.name, labels))
        if known is None:
            make: Callable[[Family, Labels], list[str]]
            make = _histogram_prefixes if family.kind == "histogram" else _single_prefix
            known = self._known[family.name, labels] = make(family, labels)
        return known


def _single(prefixes: list[str], values: list[float]) -> Iterable[str]:
    if not math.isnan(values[0]):
        yield f"{prefixes[0]}{_number(values[0])}\n"


def _histogram(prefixes: list[str], values: list[float]) -> Iterable[str]:
    *counts, together = values
    cumulative = list(accumulate(counts))
    for prefix, value in zip(prefixes, (*cumulative, cumulative[-1], together), strict=True):
        yield f"{prefix}{_number(value)}\n"


def _single_prefix(family: Family, labels: Labels) -> list[str]:
    return [_line(family.name, zip(family.labels, labels, strict=True))]


def _histogram_prefixes(family: Family, labels: Labels) -> list[str]:
    own = list(zip(family.labels, labels, strict=True))
    bounds = [*(_number(bound) for bound in family.buckets), "+Inf"]
    return [
        *(_line(f"{family.name}_bucket", (*own, ("le", bound))) for bound in bounds),
        _line(f"{family.name}_count", own),
        _line(f"{family.name}_sum", own),
    ]


def _line(name: str, labels: Iterable[tuple[str, str]]) -> str:
    inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
    return f"{name}{{{inner}}} " if inner else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    whole = int(value)
    return str(whole) if whole == value else repr(value)
