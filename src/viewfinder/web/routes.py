"""The pages (`/` and beside it), `/docs` (the API, also offline) and their assets."""

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.web.pages import render_pages

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def _page_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    for page, text in render_pages().items():
        router.add_api_route(page.path, _answer(text), methods=["GET", "HEAD"], name=page.name)
    return router


def _answer(text: str) -> Callable[[], HTMLResponse]:
    # What is on the page is no secret, but may change with the next release.
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    return lambda: HTMLResponse(text, headers=headers)


async def docs() -> FileResponse:
    """The API, to read and to try."""
    return FileResponse(_STATIC / "docs.html", headers=_HEADERS)


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
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
