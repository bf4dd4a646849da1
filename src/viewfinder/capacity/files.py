"""What was measured, and the advice, as files: for the server, for a chart, for machines."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from viewfinder import __version__
from viewfinder.capacity.advice import Advice, Item, Value
from viewfinder.capacity.measured import Measured
from viewfinder.settings import environment_name

_Tree = dict[str, Any]


def as_json(measured: Measured, advice: Advice, created: datetime) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "viewfinder": __version__,
        "created": created.isoformat(timespec="seconds"),
        **asdict(measured),
        "saturation": asdict(measured.chosen.best),
        "per_core": measured.chosen.best.per_core,
        "was_quiet": measured.was_quiet,
        "capacity": measured.capacity,
        "advice": asdict(advice),
    }


def settings_toml(measured: Measured, advice: Advice, created: datetime) -> str:
    """The settings, as `viewfinder.toml` has them."""
    plain = [one for one in advice.settings if "." not in one.name]
    groups: dict[str, list[Item]] = {}
    for one in advice.settings:
        group, _, name = one.name.rpartition(".")
        if group:
            groups.setdefault(group, []).append(Item(name, one.value, one.why))
    lines = [*_header(measured, created), *_toml(plain)]
    for group, items in groups.items():
        lines += ["", f"[{group}]", *_toml(items)]
    return "\n".join(lines) + "\n"


def values_yaml(measured: Measured, advice: Advice, created: datetime) -> str:
    """The values of a chart. Strings are written as JSON, which is YAML too."""
    tree: _Tree = {}
    for one in advice.deployment:
        _put(tree, one.name.split("."), one)
    if advice.settings:
        tree["env"] = {
            environment_name(one.name): Item(one.name, str(one.value), "")
            for one in advice.settings
        }
    return "\n".join([*_header(measured, created), *_yaml(tree, 0)]) + "\n"


def _header(measured: Measured, created: datetime) -> Iterator[str]:
    where = measured.url or f"{measured.machine}, {measured.cores} cores"
    what = f"{measured.model} {measured.variant}: {measured.capacity:.3g} photos/s"
    yield f"# Written by `viewfinder bench` {__version__}, {created:%Y-%m-%d %H:%M %Z}"
    yield f"# {_one_line(where)}"
    yield f"# {_one_line(what)}"
    if not measured.was_quiet:
        yield "# Something else took a part of the cores meanwhile: measure again."


def _one_line(text: str) -> str:
    """What comes from elsewhere cannot leave its comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _toml(items: Iterable[Item]) -> Iterator[str]:
    for one in items:
        yield f"{one.name} = {_scalar(one.value)}{_comment(one)}"


def _yaml(tree: _Tree, depth: int) -> Iterator[str]:
    for name, value in tree.items():
        indent = "  " * depth
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _yaml(value, depth + 1)
        else:
            yield f"{indent}{name}: {_scalar(value.value)}{_comment(value)}"


def _put(tree: _Tree, path: list[str], item: Item) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = item


def _scalar(value: Value) -> str:
    return json.dumps(value)


def _comment(one: Item) -> str:
    return f"  # {_one_line(one.why)}" if one.why else ""
