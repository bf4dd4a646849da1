"""Paths to the templates of their routes: what may be a label of a metric, and what may not."""

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, compile_path
from starlette.types import Scope

UNMATCHED = "unmatched"
"""The endpoint of a path that no route has."""

OTHER = "OTHER"
"""What stands for a method that HTTP does not know: the client's own words are never a label."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Endpoints:
    """The routes of an application.

    Many requests are refused before there is a route; theirs is looked up here.

    Args:
        templates: The paths of all routes, as `/v1/jobs/{job_id}`.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        compiled = {template: compile_path(template) for template in templates}
        self._plain = {path for path, (_, _, parameters) in compiled.items() if not parameters}
        self._patterns = [
            (pattern, path) for path, (pattern, _, parameters) in compiled.items() if parameters
        ]

    @classmethod
    def of_app(cls, app: FastAPI) -> "Endpoints":
        """Those of an application to which no more routes are added."""
        paths = (getattr(context, "path", None) for context in iter_route_contexts(app.routes))
        files = [f"{route.path}/{{path:path}}" for route in app.routes if isinstance(route, Mount)]
        return cls([*filter(None, paths), *files])

    def of(self, scope: Scope) -> str:
        """The template of the route of a request, or `UNMATCHED`."""
        path = scope["path"]
        if path in self._plain:
            return str(path)
        found = (template for pattern, template in self._patterns if pattern.match(path))
        return next(found, UNMATCHED)


def is_routine(endpoint: str) -> bool:
    """Whether an endpoint is asked every few seconds by machines, or has files of pages."""
    return endpoint.startswith(("/health", "/static/")) or endpoint == "/metrics"


def known_method(scope: Scope) -> str | None:
    """The method, if it is one of HTTP's: a client may send any word."""
    method: str = scope["method"]
    return method if method in _METHODS else None
