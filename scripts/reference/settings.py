"""`docs/settings.md`: the table of all settings, between two marks; what is around it stays."""

from collections.abc import Mapping
from typing import Any

from scripts.reference.markdown import NOTICE, flow, lines, table
from scripts.reference.schemas import about, default, given, kind, number

from viewfinder.settings import Settings, environment_name

BEGIN = NOTICE.format(source="src/viewfinder/settings/, up to the next mark")
END = "<!-- From here on it is written by hand. -->"

_MORE = {
    "model_store": "model-store.md",
    "device": "engines.md",
    "record": "results.md",
    "api_key": "classify.md#another-machine-answers",
    "idempotency_s": "security.md#idempotency",
    "trusted_proxies": "security.md#behind-a-proxy",
    "auth": "security.md#keys",
    "rate_limit": "security.md#rate-limits",
    "fetch": "security.md#images-by-url",
    "results": "results.md",
    "jobs": "jobs.md",
    "worker": "jobs.md#how-a-worker-is",
    "webhooks": "callbacks.md",
    "metrics": "operations.md#metrics",
    "log": "operations.md#logs",
    "tracing": "operations.md#traces",
    "drift": "drift.md",
    "explain": "api.md#heat-maps",
}
"""Where more is said of a setting, or of a group."""

_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_DEFAULT = "; default: "


def page(before: str) -> str:
    """The page anew.

    Args:
        before: The page as it is, with the marks.

    Raises:
        ValueError: A mark is missing.
    """
    head, rest = before[: before.index(BEGIN)], before[before.index(END) :]
    schema = Settings.model_json_schema()
    return f"{head}{BEGIN}\n\n{lines(*_groups(schema, schema['$defs'], ''))}\n{rest}"


def _groups(schema: Mapping[str, Any], shapes: Mapping[str, Any], prefix: str) -> list[str]:
    """The settings of a group, then those of the groups in it."""
    alone, nested = [], []
    for name, field in schema["properties"].items():
        if "$ref" in field:
            inner = shapes[field["$ref"].rpartition("/")[2]]
            nested += _groups(inner, shapes, f"{prefix}{name}.")
        else:
            alone.append(_row(f"{prefix}{name}", field))
    title = prefix.removesuffix(".")
    heading = f"## `{title}`" if title else "## General"
    words = about(schema)[0] if title else "What is in no group."
    text = f"{words} {_more(title)}".strip()
    return [heading, text, table(("setting", "value", ""), alone), *nested]


def _row(name: str, field: Mapping[str, Any]) -> tuple[str, str, str]:
    words, _, unset = field["description"].removesuffix(".").partition(_DEFAULT)
    usual = _bytes(name, field) or default(field) or flow(unset) or "none"
    value = kind(given(field), str)
    if name.endswith("_bytes"):
        value = value.replace("whole number", "bytes")
    meaning = f"{flow(words)}. {_more(name)}".strip()
    return f"`{name}`<br>`{environment_name(name)}`", f"{value}<br>default: {usual}", meaning


def _bytes(name: str, field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if not name.endswith("_bytes") or not isinstance(value, int):
        return ""
    for size, unit in _UNITS:
        if value % size == 0:
            return f"{number(value // size)} {unit}"
    return number(value)


def _more(name: str) -> str:
    return f"[More]({_MORE[name]})" if name in _MORE else ""
