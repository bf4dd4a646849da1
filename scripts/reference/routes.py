"""`docs/reference/http.md`, from the OpenAPI document of a server that asks for keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.reference.markdown import NOTICE, anchor, flow, lines, table
from scripts.reference.schemas import default, given, kind, shape

from viewfinder.api.errors import CATALOG
from viewfinder.app import create_app
from viewfinder.settings import AuthSettings, Settings

_INTRODUCTION = """\
Every route, from the same source as `/openapi.json` and `/docs` of a running server.
[HTTP API](../api.md) explains them with examples.

**Keys.** Where a server asks for keys, a route asks for one with the scope that it names, as
`Authorization: Bearer KEY` or `X-API-Key: KEY` ([keys](../security.md#keys)).

**Rate limits.** Where they are on, answers have the headers `RateLimit-Policy` and `RateLimit`, and
with 429 `Retry-After` ([rate limits](../security.md#rate-limits)).

**Errors.** Any answer but those named is a [Problem](#problem) as `application/problem+json`; its
`code` is one of these. [Errors](../errors.md) says what each means, and what to do."""

_PROBLEMS = {"default", "429"}
_GROUPS = {
    "classify": "Classify",
    "jobs": "Jobs",
    "results": "Results",
    "webhooks": "Callbacks",
    "models": "Models",
    "service": "Service",
}


def page() -> str:
    """The page."""
    # As declared: what this machine's environment or file says is left aside.
    settings = Settings.model_construct(auth=AuthSettings(enabled=True))
    document = create_app(settings).openapi()
    routes = _routes(document)
    shapes = document["components"]["schemas"]
    return lines(
        NOTICE.format(source="src/viewfinder/api"),
        "# HTTP routes",
        _INTRODUCTION,
        table(("status", "codes"), _codes()),
        *(_group(tag, title, routes) for tag, title in _GROUPS.items()),
        "## Shapes",
        *(f"### {name}\n\n{shape(shapes[name], _link)}" for name in sorted(shapes)),
    )


def _codes() -> Iterator[tuple[str, str]]:
    statuses = sorted({status for status, _ in CATALOG.values()})
    for status in statuses:
        codes = [f"`{code}`" for code, (its, _) in CATALOG.items() if its == status]
        yield str(status), ", ".join(codes)


@dataclass(frozen=True)
class _Route:
    method: str
    paths: list[str]
    operation: Mapping[str, Any]


def _routes(document: Mapping[str, Any]) -> list[_Route]:
    """Every route; what stands at two paths comes once."""
    found: list[_Route] = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            plain = {name: part for name, part in operation.items() if name != "operationId"}
            twin = next((one for one in found if one.operation == plain), None)
            if twin is None:
                found.append(_Route(method, [path], plain))
            else:
                twin.paths.append(path)
    return found


def _group(tag: str, title: str, routes: list[_Route]) -> str:
    ours = [route for route in routes if route.operation["tags"][0] == tag]
    return lines(f"## {title}", *map(_route, ours)).rstrip("\n")


def _route(route: _Route) -> str:
    operation = route.operation
    path, *others = route.paths
    also = "".join(f" Also at `{other}`." for other in others)
    counts = "" if "429" in operation["responses"] else " No rate limit."
    scopes = [scope for way in operation.get("security", ()) for scope in next(iter(way.values()))]
    text = operation.get("description", "").split("\n\n")
    parameters = operation.get("parameters", ())
    asked = table(("parameter", "type", ""), map(_parameter, parameters)) if parameters else ""
    return lines(
        f"### {route.method.upper()} {path}",
        *(flow(part) for part in text),
        (f"Scope: `{scopes[0]}`." if scopes else "No key is asked for.") + counts + also,
        asked,
        _body(operation.get("requestBody", {})),
        "\n".join(_answers(operation["responses"])),
    ).rstrip("\n")


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    schema = parameter["schema"]
    words = flow(parameter.get("description") or schema.get("description", ""))
    usual = default(schema)
    note = f"{words} Default: {usual}.".strip() if usual and "const" not in schema else words
    return f"`{parameter['name']}`<br>*{parameter['in']}*", kind(given(schema), _link), note


def _body(body: Mapping[str, Any]) -> str:
    if not body:
        return ""
    rows = []
    for media, content in body["content"].items():
        schema = content["schema"]
        fields = schema.get("properties")
        what = ", ".join(f"`{name}`" for name in fields) if fields else kind(schema, _link)
        rows.append((f"`{media}`", f"fields {what}" if fields else what))
    return table(("body", ""), rows)


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    """A line for each answer that is no error."""
    for status, response in responses.items():
        if status in _PROBLEMS:
            continue
        bodies = [
            _said(media, content.get("schema", {}))
            for media, content in response.get("content", {}).items()
        ]
        yield f"- **{status}**: {'; or '.join(bodies) or 'nothing more'}"


def _said(media: str, schema: Mapping[str, Any]) -> str:
    return f"{kind(schema, _link)} as `{media}`" if schema else f"`{media}`"


def _link(name: str) -> str:
    return f"[{name}](#{anchor(name)})"
