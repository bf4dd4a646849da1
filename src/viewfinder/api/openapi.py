"""What FastAPI cannot see for itself: the three forms of a body, and the errors of every route."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from viewfinder.api.call import MILLISECONDS, TIMEOUT_HEADER
from viewfinder.api.errors import MEDIA_TYPE
from viewfinder.api.guards.access import needed_scope
from viewfinder.api.guards.idempotency import HEADER, LONGEST_KEY, takes_key
from viewfinder.api.guards.paths import JOBS
from viewfinder.api.guards.rate import is_free
from viewfinder.api.guards.trace import NOT_OF_FASTAPI
from viewfinder.api.schemas.classify import BatchBody, ClassifyOptions, PhotoBody
from viewfinder.api.schemas.jobs import JobOptions, UrlsBody
from viewfinder.api.schemas.models import AliasBody
from viewfinder.api.schemas.problem import Problem
from viewfinder.api.schemas.results import FeedbackBody
from viewfinder.registry.routing import Traffic

_COMPONENTS = "#/components/schemas/"
_BINARY = {"type": "string", "format": "binary"}


def _operation(
    field: str,
    files: dict[str, Any],
    json: type[BaseModel],
    kind: type[ClassifyOptions] = ClassifyOptions,
) -> dict[str, Any]:
    """What a request for answers has: its options in the query, a header, and a body."""
    options = kind.model_json_schema()["properties"]
    form = {"type": "object", "required": [field], "properties": {field: files, **options}}
    return {
        "parameters": [
            *(_parameter(name, "query", schema) for name, schema in options.items()),
            _parameter(TIMEOUT_HEADER, "header", _TIMEOUT),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": {"$ref": _COMPONENTS + json.__name__}},
            },
        },
    }


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": where, "required": False, "schema": schema, **described}


_TIMEOUT = {
    **MILLISECONDS.json_schema(),
    "description": "Milliseconds within which the work must begin; the server's own limit if that "
    "is less.",
}
WITHIN: dict[str, Any] = {"parameters": [_parameter(TIMEOUT_HEADER, "header", _TIMEOUT)]}
"""What a route has that reads the header of the deadline by hand."""

_KEY_PARAMETER = _parameter(
    HEADER,
    "header",
    {
        "type": "string",
        "pattern": f"^[!-~]{{1,{LONGEST_KEY}}}$",
        "description": "A new, unguessable text for each request. Sent again with the same key, a "
        "request that was answered is not carried out again: its answer is repeated, with "
        "`Idempotency-Replayed: true`.",
    },
)
_IN_PATHS = {
    "name": "The model.",
    "version": "Its number.",
    "alias": "The alias.",
    "path": "The document, as the list of them has it.",
    "job_id": "The job.",
    "identifier": "The result: the `id` of the answer.",
}
"""What stands in the address of several routes."""

_SECONDS = {"schema": {"type": "integer", "minimum": 1}}
_LIMITED = {
    "Retry-After": {"description": "Seconds after which to ask again.", **_SECONDS},
    "RateLimit-Policy": {
        "description": 'The limit: `"default";q=600;w=60` is 600 requests in 60 seconds.',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What remains of it: `"default";r=599;t=60`. On every answer that counts.',
        "schema": {"type": "string"},
    },
}
_FILES = {"type": "array", "items": _BINARY}
ONE_PHOTO = _operation("file", _BINARY, PhotoBody)
ONE_PHOTO["requestBody"]["content"]["image/*"] = {"schema": _BINARY}
MANY_PHOTOS = _operation("files", _FILES, BatchBody)
JOB = _operation("files", _FILES, UrlsBody, JobOptions)
_job_form = JOB["requestBody"]["content"]["multipart/form-data"]["schema"]
del _job_form["required"]
_job_form["properties"]["archive"] = _BINARY | {
    "description": "A zip of images, in place of `files`."
}


_BODIES = (FeedbackBody, PhotoBody, BatchBody, UrlsBody, AliasBody, Traffic, Problem)


def json_body(schema: type[BaseModel]) -> dict[str, Any]:
    """What a route has whose JSON body is read by hand."""
    content = {"application/json": {"schema": {"$ref": _COMPONENTS + schema.__name__}}}
    return {"requestBody": {"required": True, "content": content}}


class DocumentedAPI(FastAPI):
    """A FastAPI application with a complete OpenAPI document.

    Args:
        guarded: Whether a key is asked for.
        options: What FastAPI takes.
    """

    def __init__(self, *, guarded: bool, **options: Any) -> None:
        super().__init__(telemetry=NOT_OF_FASTAPI, **options)
        self._guarded = guarded

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _document(self)
            if self._guarded:
                _add_security(self.openapi_schema)
        return self.openapi_schema


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    bodies: list[tuple[type[BaseModel], Any]] = [(model, "validation") for model in _BODIES]
    _, definitions = models_json_schema(bodies, ref_template=_COMPONENTS + "{model}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = {
        "description": "An error; `code` says which.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_COMPONENTS}Problem"}}},
    }
    limited = problem | {"description": "More requests than the limit.", "headers": _LIMITED}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            if not is_free(path):
                operation["responses"]["429"] = limited
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter["description"] = _IN_PATHS[parameter["name"]]
            if takes_key(method.upper(), path) or (method, path) == ("post", JOBS):
                operation["parameters"] = [*operation.get("parameters", []), _KEY_PARAMETER]
    return document


def _add_security(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = needed_scope(method.upper(), path)
            operation["security"] = [{"bearer": [scope]}, {"key": [scope]}] if scope else []
