"""Request bodies to photos: raw, multipart or JSON, and in memory only.

The guards have seen to their type and encoding, and end the reading where a limit is.
"""

import asyncio
import binascii
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from viewfinder.api.guards.body import media_type
from viewfinder.api.schemas.classify import BatchItem, ClassifyOptions, PhotoBody
from viewfinder.errors import (
    InvalidParameterError,
    MalformedRequestError,
    RequestError,
    UrlFetchDisabledError,
)
from viewfinder.net.fetch import Fetcher
from viewfinder.settings import MIB, Limits

_from_json = partial(from_json, allow_inf_nan=False)

Body = TypeVar("Body", bound=BaseModel)
Options = TypeVar("Options", bound=ClassifyOptions)
Data = TypeVar("Data", str, bytes)
Converted = TypeVar("Converted")

_LARGE = 256 * 1024
_MOST_VALUES = 10_000
# RFC 2046, section 5.1.1
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")
_MULTIPART, _JSON = "multipart/form-data", "application/json"

UNFINISHED_FORM = "The multipart form ends before its last boundary."
"""What to say of one that was cut off: parts of it would be missing without a word."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where an image is to be fetched from."""

    url: str


@dataclass(frozen=True, slots=True)
class Photo:
    """One image of a request.

    Attributes:
        data: Its bytes, its base64, where they are, or why there is none of these.
        filename: What the client called it. Repeated to the client and never used.
    """

    data: bytes | str | Link | RequestError
    filename: str | None = None

    @asynccontextmanager
    async def content(self, fetcher: Fetcher | None, deadline: float) -> AsyncGenerator[bytes]:
        """The bytes of the image file, for as long as the block lasts.

        Args:
            fetcher: Who fetches those that are elsewhere; None where nobody does.
            deadline: Until when, on the clock of `time.monotonic`.

        Raises:
            RequestError: There are none.
            ServiceError: They could not be fetched in time.
        """
        if isinstance(self.data, RequestError):
            raise self.data
        if isinstance(self.data, bytes):
            yield self.data
        elif isinstance(self.data, str):
            yield await _off_the_loop(_decode_base64, self.data)
        elif fetcher is not None:
            async with fetcher.fetch(self.data.url, deadline) as content:
                yield content
        else:
            off = "This server does not fetch images by URL; send the image."
            raise UrlFetchDisabledError(off)


async def read_photo(request: Request, query: ClassifyOptions) -> tuple[Photo, ClassifyOptions]:
    """The one photo of a request, and its options from the query and the body together.

    Raises:
        RequestError: The body is not what the API documents.
        RequestValidationError: An option in the body is out of range.
    """
    kind = media_type(request.headers.get("content-type"))
    if kind == _MULTIPART:
        photos, options = await _form(request, "file")
        if len(photos) != 1:
            raise MalformedRequestError(
                f"Send exactly one file in the form field 'file'; this form has {len(photos)}."
            )
        return photos[0], merge_options(query, options)
    if kind == _JSON:
        body = await read_json(PhotoBody, request)
        return _json_photo(body), merge_options(query, body)
    return Photo(await _read(request)), query


async def read_batch(
    request: Request, query: ClassifyOptions, limits: Limits
) -> tuple[list[Photo], ClassifyOptions]:
    """The photos of a batch, and its options from the query and the body together.

    Raises:
        RequestError: The body is not what the API documents, or holds too many images.
        RequestValidationError: An option in the body is out of range.
    """
    if media_type(request.headers.get("content-type")) == _MULTIPART:
        photos, options = await _form(request, "files")
        _check_count(len(photos), limits)
        return photos, merge_options(query, options)
    batch = await read_json(_Batch, request)
    _check_count(len(batch.images), limits)
    return [_batch_photo(item) for item in batch.images], merge_options(query, batch)


async def _read(request: Request) -> bytes:
    body = b"".join([chunk async for chunk in request.stream()])
    if not body:
        raise MalformedRequestError("The body is empty.")
    return body


class _InMemory(MultiPartParser):
    # Starlette would spool a file above 1 MiB to disk, which costs 100 ms and leaves the memory
    # that the limits bound for a place where an upload may outlive its request.
    spool_max_size = 1024 * MIB
    ended = False

    def on_end(self) -> None:
        """The last boundary has come."""
        self.ended = True

    def check_ended(self) -> None:
        """Refuse a form that was cut off: parts of it would be missing without a word."""
        if not self.ended:
            raise MalformedRequestError(UNFINISHED_FORM)


async def _form(request: Request, field: str) -> tuple[list[Photo], ClassifyOptions]:
    """The files of one field of a form, and the options in its other fields."""
    boundary = read_boundary(request)
    # Nothing but the boundary is passed on: a charset would let the client choose among all of
    # Python's codecs, some of which are quadratic. Forms are UTF-8.
    headers = Headers({"content-type": f'{_MULTIPART}; boundary="{boundary.decode()}"'})
    parser = _InMemory(headers, request.stream(), max_files=1000, max_fields=100)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedRequestError(
            "The multipart form is broken or has too many parts."
        ) from error
    try:
        parser.check_ended()
        names = ClassifyOptions.model_fields
        options = {name: value for name, value in form.items() if name in names}
        files = _files(form, field)
        return [
            Photo(await file.read(), file.filename) for file in files
        ], ClassifyOptions.model_validate(options)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    finally:
        await form.close()


def read_boundary(request: Request) -> bytes:
    """What stands between the parts of a form.

    Raises:
        MalformedRequestError: Nothing does.
    """
    _, parameters = parse_options_header(request.headers["content-type"])
    boundary = parameters.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedRequestError("The multipart form has no proper boundary.")
    return boundary


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


class _Batch(ClassifyOptions):
    """`BatchBody`, but an image of the wrong form spoils only itself."""

    images: list[Any] = Field(min_length=1)


async def read_json(
    schema: type[Body], request: Request, *, most_values: int = _MOST_VALUES
) -> Body:
    """A JSON body of a shape.

    Args:
        schema: The shape.
        request: Whose body it is.
        most_values: More than it needs, commas in texts included.

    Raises:
        RequestError: It is no JSON.
        RequestValidationError: It has another shape.
    """
    data = await _read(request)
    # Base64 has none of these: more of them are a flood of tiny values, each many times its size.
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > most_values:
        raise MalformedRequestError("The JSON holds far more values than any request needs.")
    try:
        return schema.model_validate(await _off_the_loop(_from_json, data))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    except ValueError as error:
        raise MalformedRequestError("The body is not valid JSON.") from error


async def _off_the_loop(convert: Callable[[Data], Converted], data: Data) -> Converted:
    """Convert what is large in a thread, so that others need not wait for it."""
    if len(data) < _LARGE:
        return convert(data)
    return await asyncio.to_thread(convert, data)


def _batch_photo(item: Any) -> Photo:
    try:
        return _json_photo(BatchItem.model_validate(item))
    except ValidationError:
        return Photo(InvalidParameterError("An image is an object with 'image' or 'url'."))


def _json_photo(item: PhotoBody | BatchItem) -> Photo:
    if item.image is not None and item.url is None:
        return Photo(item.image)
    if item.url is not None and item.image is None:
        return Photo(Link(item.url))
    one = "Give the image as 'image' (base64) or as 'url': one of them."
    return Photo(MalformedRequestError(one))


def _decode_base64(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise MalformedRequestError("The field 'image' is not valid base64.") from error


def merge_options(query: Options, body: ClassifyOptions) -> Options:
    """The options of both; what the query says counts."""
    given = body.model_dump(include=set(type(query).model_fields), exclude_unset=True)
    said = query.model_fields_set
    return query.model_copy(update={name: given[name] for name in given if name not in said})
