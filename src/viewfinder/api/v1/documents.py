"""`GET /v1/models/{name}/versions/{version}/documents`: what bundles hold for people and tools."""

import asyncio
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from viewfinder.api.schemas.documents import DocumentAnswer, DocumentList
from viewfinder.api.services import ServicesDep
from viewfinder.api.versions import bundle_of
from viewfinder.errors import BundleError, ConflictError, DocumentNotFoundError, NotReadyError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import File

router = APIRouter(prefix="/v1/models/{name}/versions/{version}/documents", tags=["models"])

_MOST_BYTES = 32 * 1024 * 1024  # each request reads all of it twice: to check it, and to send it
_PART_BYTES = 64 * 1024
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
    response_class=StreamingResponse,
    responses={
        200: {"content": {kind.partition(";")[0]: {} for kind in (*_TYPES.values(), _BINARY)}}
    },
)
async def show_document(
    name: str, version: str, path: str, services: ServicesDep
) -> StreamingResponse:
    """One document, checked against the size and the SHA-256 with which it was sealed."""
    bundle = bundle_of(services.models, name, version)
    file = _file(bundle, path)
    try:
        verified = await asyncio.to_thread(bundle.verified, file)
    except BundleError as error:
        raise NotReadyError(f"This document cannot be used: {error.detail}.") from error
    kind = _type_of(file.path)
    # Given as a header: Starlette would add a character set to what has none.
    headers = {**_HEADERS, "Content-Type": kind, "Content-Length": str(file.bytes)}
    if kind == _BINARY:
        called = quote(PurePosixPath(file.path).name, safe="")
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{called}"
    return StreamingResponse(_parts(verified, file), headers=headers)


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


def _parts(path: Path, file: File) -> Iterator[bytes]:
    """What a file holds, a part at a time. Blocks: Starlette asks for each part in a thread.

    Raises:
        BundleError: It has become shorter since it was checked; this cuts the answer off.
        OSError: It cannot be read any more.
    """
    left = file.bytes  # as announced: no more is sent of a file that has grown since
    with path.open("rb") as opened:
        while left:
            part = opened.read(min(_PART_BYTES, left))
            if not part:
                raise BundleError(f"{file.path} has become shorter while it was sent")
            left -= len(part)
            yield part


def _type_of(path: str) -> str:
    return _TYPES.get(PurePosixPath(path).suffix.lower(), _BINARY)
