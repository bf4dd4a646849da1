"""`/` (drop a photo), `/docs` (the API, also offline) and their assets."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

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


def install(app: FastAPI) -> None:
    """Add the pages to the application."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
