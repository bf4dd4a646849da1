"""`/` (drop a photo), `/docs` (the API, also offline) and their assets."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def home() -> FileResponse:
    """The page to drop a photo on."""
    return FileResponse(_STATIC / "index.html", headers=_HEADERS)


@router.head("/docs")
@router.get("/docs")
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
    return path in {"/", "/docs"} or path.startswith("/static/")


def install(app: FastAPI) -> None:
    """Add the pages to the application."""
    app.add_middleware(WholeFiles)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
