"""`docs/reference/manifest.md` and the JSON Schema beside it, from `bundle.json` as it is read."""

import json

from scripts.reference.markdown import NOTICE, anchor, lines
from scripts.reference.schemas import shape

from viewfinder.registry.manifest import Manifest

_INTRODUCTION = """\
`bundle.json` lies in the folder of each model version, beside its graphs, and says everything about
it. [A decision](../decisions/0001-bundle.md) says why; [publish](../model-store.md) checks it. For
editors and other programs, the same as JSON Schema: [bundle.schema.json](bundle.schema.json)."""

_SOURCE = "src/viewfinder/registry/manifest.py"
_COMMENT = f"Made by `make reference` from {_SOURCE}: change that, not this file."


def page() -> str:
    """The page: the whole first, then its parts by name."""
    whole = Manifest.model_json_schema()
    parts = whole["$defs"]
    return lines(
        NOTICE.format(source=_SOURCE),
        "# Manifest of a bundle",
        _INTRODUCTION,
        shape(whole, _link),
        *(f"## {name}\n\n{shape(part, _link)}" for name, part in parts.items()),
    )


def schema() -> str:
    """The JSON Schema, as a file."""
    document = {"$comment": _COMMENT, **Manifest.model_json_schema()}
    return json.dumps(document, indent=2) + "\n"


def _link(name: str) -> str:
    return f"[{name}](#{anchor(name)})"
