"""JSON Schema in words: types, ranges, defaults, and the fields of a shape."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from scripts.reference.markdown import code, flow, lines, table

Schema = Mapping[str, Any]

_WORDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "object",
    "null": "null",
}
_FORMATS = {
    "date-time": "time (RFC 3339)",
    "binary": "file",
    "path": "path",
    "ipvanynetwork": "network",
}
_COUNTABLE = {"whole number", "number", "text", "object", "file", "network"}
_SEPARATED_FROM = 10_000


def kind(schema: Schema, link: Callable[[str], str]) -> str:
    """What a value is, with its range.

    Args:
        schema: Of the value.
        link: What stands for a shape, by its name.
    """
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return code(_plain(schema["const"]))
    if "enum" in schema:
        return ", ".join(code(_plain(value)) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(kind(option, link) for option in schema["anyOf"])
    return _plain_kind(schema, link)


def _plain_kind(schema: Schema, link: Callable[[str], str]) -> str:
    if schema.get("type") == "array":
        return _list(schema, link)
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of name: {kind(schema['additionalProperties'], link)}"
    word = _FORMATS.get(schema.get("format", ""), _WORDS.get(schema.get("type", ""), "anything"))
    return ", ".join(part for part in (word, _length(schema), span(schema)) if part)


def _list(schema: Schema, link: Callable[[str], str]) -> str:
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {kind(schema['prefixItems'][0], link)}"
    how_many = _bounds(schema.get("minItems"), schema.get("maxItems"))
    item = kind(schema.get("items", {}), link)
    word, comma, rest = item.partition(",")
    of = f"list of {word}s{comma}{rest}" if word in _COUNTABLE else f"list of {item}"
    return f"{of}; {how_many} of them" if how_many else of


def _length(schema: Schema) -> str:
    if "pattern" in schema:
        return code(schema["pattern"])
    bounds = _bounds(schema.get("minLength"), schema.get("maxLength"))
    return f"{bounds} characters" if bounds else ""


def span(schema: Schema) -> str:
    """The range of a number, or nothing."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        above = f"above {number(schema['exclusiveMinimum'])}"
        return above if high is None else f"{above}, at most {number(high)}"
    return _bounds(low, high)


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"at most {number(high)}"
    return f"{number(low)} or more" if high is None else f"{number(low)}-{number(high)}"


def number(value: float) -> str:
    """A number as people write it; short ones, such as ports, without separators."""
    whole = int(value) if float(value).is_integer() else value
    return f"{whole:,}" if abs(whole) >= _SEPARATED_FROM else str(whole)


def given(schema: Schema) -> Schema:
    """What a value is where there is one: that it may be left out is said elsewhere."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def default(schema: Schema) -> str:
    """What a value is if nothing is said, or nothing."""
    value = schema.get("default")
    if value is None or value in ([], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return ", ".join(number(item) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return code(_plain(value))


def about(schema: Schema) -> tuple[str, dict[str, str]]:
    """What a shape is, and what its docstring says of each field."""
    text, _, attributes = schema.get("description", "").partition("\n\nAttributes:\n")
    parts = re.split(r"^    (\w+): ", attributes, flags=re.MULTILINE)
    said = {name: flow(words) for name, words in zip(parts[1::2], parts[2::2], strict=True)}
    said = {name: re.sub(r"\bNone\b", "`null`", words) for name, words in said.items()}
    return "\n\n".join(flow(part) for part in text.split("\n\n")), said


def shape(schema: Schema, link: Callable[[str], str]) -> str:
    """A shape: what it is, and a table of its fields."""
    text, said = about(schema)
    required = schema.get("required", ())
    rows = []
    for name, field in schema.get("properties", {}).items():
        words = flow(field.get("description", "")) or said.get(name, "")
        usual = default(field)
        notes = [words] if words else []
        if usual and "const" not in field:
            notes.append(f"Default: {usual}.")
        optional = "" if name in required else "<br>*optional*"
        rows.append((f"`{name}`{optional}", kind(field, link), " ".join(notes)))
    fields = table(("field", "type", ""), rows) if rows else ""
    return lines(text, fields).rstrip("\n")
