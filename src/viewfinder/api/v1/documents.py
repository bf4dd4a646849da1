"""`GET /v1/models/{name}/versions/{version}/documents`: what bundles hold for people and tools."""

import asyncio
from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter, Response

from viewfinder.api.dependencies import ServicesDep
from viewfinder.api.schemas import DocumentAnswer, DocumentList
from viewfinder.api.v1.models import bundle_of
from viewfinder.errors import BundleError, ConflictError, DocumentNotFoundError, NotReadyError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import File

router = APIRouter(prefix="/v1/models/{name}/versions/{version}/documents", tags=["models"])

_MOST_BYTES = 32 * 1024 * 1024
_BINARY = "application/octet-stream"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
# A bundle may come from a stranger: a browser that opens a document runs nothing of it, lets it
# ask for nothing, and gives it no part in this address.
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@router.get("")
async def list_documents(name: str, version: str, services: ServicesDep) -> DocumentList:
    """The documents of a version, such as the report of its evaluation."""
    manifest = bundle_of(services.models, name, version).manifest
    return DocumentList(
        name=manifest.name,
        version=manifest.version,
        documents=[
            DocumentAnswer(
                path=file.path, bytes=file.bytes, sha256=file.sha256, type=_type_of(file.path)
            )
            for file in manifest.documents
        ],
    )


@router.get(
    "/{path:path}",
    response_class=Response,
    responses={
        200: {"content": {kind.partition(";")[0]: {} for kind in (*_TYPES.values(), _BINARY)}}
    },
)
async def show_document(name: str, version: str, path: str, services: ServicesDep) -> Response:
    """One document, checked against the size and the SHA-256 with which it was sealed."""
    bundle = bundle_of(services.models, name, version)
    file = _file(bundle, path)
    try:
        content = await asyncio.to_thread(_read, bundle, file)
    except BundleError as error:
        raise NotReadyError(f"This document cannot be used: {error.detail}.") from error
    kind = _type_of(file.path)
    headers = dict(_HEADERS)
    if kind == _BINARY:
        called = quote(PurePosixPath(file.path).name, safe="")
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{called}"
    # Given as a header: Starlette would add a character set to what has none.
    return Response(content, headers={**headers, "Content-Type": kind})


def _file(bundle: Bundle, path: str) -> File:
    found = next((file for file in bundle.manifest.documents if file.path == path), None)
    if found is None:
        raise DocumentNotFoundError(
            "This version has no such document; the list of its documents says which it has."
        )
    if found.bytes > _MOST_BYTES:
        raise ConflictError(
            f"This document has {found.bytes:,} bytes, and at most {_MOST_BYTES:,} are sent; read "
            "it in the model store."
        )
    return found


def _read(bundle: Bundle, file: File) -> bytes:
    path = bundle.verified(file)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{file.path} cannot be read: {error.strerror}") from error


def _type_of(path: str) -> str:
    return _TYPES.get(PurePosixPath(path).suffix.lower(), _BINARY)
