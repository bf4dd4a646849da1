"""The pages (`/` and beside it), `/docs` (the API, also offline), `/viewer`, and their assets."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.web.pages import Page, render_pages, render_viewer

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# It shows HTML that a page gives it, which may be a stranger's: in an origin of its own, without
# any script but the very one that puts it there, and without a way out. That script is in the page
# itself: what has no origin could fetch nothing from a server that answers its own pages only.
_VIEWER_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'sha256-{digest}'; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)


def _page_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for page, text in render_pages().items():
        router.add_api_route(
            page.path, _answer(page, text), methods=["GET", "HEAD"], name=page.name
        )
    return router


def _answer(page: Page, text: str) -> Callable[[], HTMLResponse]:
    # What is on the page is no secret, but may change with the next release.
    policy = f"{_POLICY}; frame-src 'self'" if page.has_frames else _POLICY
    headers = {**_HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return lambda: HTMLResponse(text, headers=headers)


async def docs() -> FileResponse:
    """The API, to read and to try."""
    return FileResponse(_STATIC / "docs.html", headers=_HEADERS)


def _viewer() -> Callable[[], HTMLResponse]:
    text, script = render_viewer()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = _VIEWER_POLICY.format(digest=digest)
    headers = {**_HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return lambda: HTMLResponse(text, headers=headers)


class WholeFiles:
    """Takes `Range` away where files are sent: they are small, and odd ranges have odd answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and _is_file(scope["path"]):
            kept = [header for header in scope["headers"] if header[0] != b"range"]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


def _is_file(path: str) -> bool:
    return path == "/docs" or path.startswith("/static/")


def install(app: FastAPI) -> None:
    """Add the pages to the application."""
    app.add_middleware(WholeFiles)
    router = _page_router()
    router.add_api_route("/docs", docs, methods=["GET", "HEAD"], name="docs")
    router.add_api_route("/viewer", _viewer(), methods=["GET", "HEAD"], name="viewer")
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
