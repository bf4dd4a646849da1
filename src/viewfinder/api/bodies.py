"""Request bodies to photos: raw, multipart or JSON, within their limits and in memory only."""

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from viewfinder.api.schemas import BatchBody, BatchItem, ClassifyOptions, PhotoBody
from viewfinder.errors import (
    InvalidParameterError,
    MalformedRequestError,
    PayloadTooLargeError,
    RequestError,
    UnsupportedMediaTypeError,
    UrlFetchDisabledError,
)
from viewfinder.settings import MIB, Limits

Body = TypeVar("Body", bound=BaseModel)

_LONGEST_SHOWN = 100
_MULTIPART, _JSON = "multipart/form-data", "application/json"


@dataclass(frozen=True, slots=True)
class Photo:
    """One image of a request.

    Attributes:
        content: Its bytes, or why there are none.
        filename: What the client called it. Repeated to the client and never used.
    """

    content: bytes | RequestError
    filename: str | None = None


async def read_photo(
    request: Request, query: ClassifyOptions, limits: Limits
) -> tuple[bytes, ClassifyOptions]:
    """The one photo of a request, and its options from the query and the body together.

    Raises:
        RequestError: The body is not what the API documents.
        RequestValidationError: An option in the body is out of range.
    """
    kind = _content_type(request)
    if kind.startswith("image/"):
        return await _read(request, limits.image_bytes), query
    if kind == _MULTIPART:
        form = await _form(request, limits.body_bytes)
        files = _files(form, "file")
        if len(files) != 1:
            raise MalformedRequestError(
                f"Send exactly one file in the form field 'file'; this form has {len(files)}."
            )
        return await files[0].read(), _with_fields(query, form)
    if kind == _JSON:
        body = _parse(PhotoBody, await _read(request, limits.body_bytes))
        content = _json_photo(body.image, body.url)
        if isinstance(content, RequestError):
            raise content
        return content, _merge(query, body)
    raise _unsupported(kind, "send the image itself as image/*")


async def read_batch(
    request: Request, query: ClassifyOptions, limits: Limits
) -> tuple[list[Photo], ClassifyOptions]:
    """The photos of a batch, and its options from the query and the body together.

    Raises:
        RequestError: The body is not what the API documents, or holds too many images.
        RequestValidationError: An option in the body is out of range.
    """
    kind = _content_type(request)
    if kind == _MULTIPART:
        form = await _form(request, limits.batch_bytes)
        files = _files(form, "files")
        _check_count(len(files), limits)
        photos = [Photo(await file.read(), file.filename) for file in files]
        return photos, _with_fields(query, form)
    if kind == _JSON:
        body = _parse(BatchBody, await _read(request, limits.batch_bytes))
        _check_count(len(body.images), limits)
        return [_batch_photo(item) for item in body.images], _merge(query, body)
    raise _unsupported(kind, "send the images as files of a form")


def _content_type(request: Request) -> str:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Send the body as it is: content encodings are not taken.")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, hint: str) -> UnsupportedMediaTypeError:
    shown = kind if kind.isprintable() and len(kind) <= _LONGEST_SHOWN else ""
    return UnsupportedMediaTypeError(
        f"The content type {shown!r} is not taken: {hint}, as {_MULTIPART}, or as {_JSON}."
    )


async def _chunks(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes, at most `limit` bytes of it."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    arrived = 0
    async for chunk in request.stream():
        arrived += len(chunk)
        if arrived > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is over the limit of {limit:,} bytes.")


async def _read(request: Request, limit: int) -> bytes:
    body = b"".join([chunk async for chunk in _chunks(request, limit)])
    if not body:
        raise MalformedRequestError("The body is empty.")
    return body


class _InMemory(MultiPartParser):
    # Starlette would spool a file above 1 MiB to disk, which costs 100 ms and leaves the memory
    # that the limits bound for a place where an upload may outlive its request.
    spool_max_size = 1024 * MIB


async def _form(request: Request, limit: int) -> FormData:
    headers = Headers(raw=[*request.headers.raw])
    parser = _InMemory(headers, _chunks(request, limit), max_files=1000, max_fields=100)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise MalformedRequestError(
            "The multipart form is broken or has too many parts."
        ) from error


def _files(form: FormData, field: str) -> list[UploadFile]:
    values = form.getlist(field)
    files = [value for value in values if isinstance(value, UploadFile)]
    if not values:
        raise MalformedRequestError(f"The form has no field {field!r} with a file.")
    if len(files) != len(values):
        raise MalformedRequestError(
            f"The form field {field!r} must be a file, with a filename: "
            f"curl -F {field}=@photo.jpg does that."
        )
    return files


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.batch_images:
        raise InvalidParameterError(
            f"The batch has {count} images; {limits.batch_images} are the most."
        )


def _parse(schema: type[Body], data: bytes) -> Body:
    try:
        return schema.model_validate(from_json(data, allow_inf_nan=False))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    except ValueError as error:
        raise MalformedRequestError("The body is not valid JSON.") from error


def _batch_photo(item: BatchItem) -> Photo:
    return Photo(_json_photo(item.image, item.url))


def _json_photo(image: str | None, url: str | None) -> bytes | RequestError:
    if (image is None) == (url is None):
        return MalformedRequestError("Give the image as 'image' (base64) or as 'url': one of them.")
    if image is None:
        return UrlFetchDisabledError("This server does not fetch images by URL; send the image.")
    if image.startswith("data:"):
        image = image.partition(",")[2]
    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError):
        return MalformedRequestError("The field 'image' is not valid base64.")


def _with_fields(query: ClassifyOptions, form: FormData) -> ClassifyOptions:
    fields = {name: value for name, value in form.items() if name in ClassifyOptions.model_fields}
    try:
        return _merge(query, ClassifyOptions.model_validate(fields))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _merge(query: ClassifyOptions, body: ClassifyOptions) -> ClassifyOptions:
    """The options of both; what the query says counts."""
    names = ClassifyOptions.model_fields.keys()
    given = body.model_dump(include=set(names), exclude_unset=True)
    return ClassifyOptions.model_construct(
        **(ClassifyOptions().model_dump() | given | query.model_dump(exclude_unset=True))
    )
