"""The photos of a request: raw, in a form or in JSON, and in memory only."""

import binascii
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import Field, ValidationError

from viewfinder.api.bodies.forms import read_form
from viewfinder.api.bodies.json import read_json
from viewfinder.api.bodies.whole import off_the_loop, read_whole
from viewfinder.api.call import merge_options
from viewfinder.api.guards.body import FORM, JSON, media_type
from viewfinder.api.schemas.classify import BatchItem, ClassifyOptions, PhotoBody
from viewfinder.errors import (
    InvalidParameterError,
    MalformedRequestError,
    RequestError,
    UrlFetchDisabledError,
)
from viewfinder.net.fetch import Fetcher
from viewfinder.settings import Limits


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
            yield await off_the_loop(_decode_base64, self.data)
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
    if kind == FORM:
        files, options = await read_form(request, "file")
        if len(files) != 1:
            raise MalformedRequestError(
                f"Send exactly one file in the form field 'file'; this form has {len(files)}."
            )
        return Photo(files[0].data, files[0].filename), merge_options(query, options)
    if kind == JSON:
        body = await read_json(PhotoBody, request)
        return _json_photo(body), merge_options(query, body)
    return Photo(await read_whole(request)), query


async def read_batch(
    request: Request, query: ClassifyOptions, limits: Limits
) -> tuple[list[Photo], ClassifyOptions]:
    """The photos of a batch, and its options from the query and the body together.

    Raises:
        RequestError: The body is not what the API documents, or holds too many images.
        RequestValidationError: An option in the body is out of range.
    """
    if media_type(request.headers.get("content-type")) == FORM:
        files, options = await read_form(request, "files")
        _check_count(len(files), limits)
        return [Photo(file.data, file.filename) for file in files], merge_options(query, options)
    batch = await read_json(_Batch, request)
    _check_count(len(batch.images), limits)
    return [_batch_photo(item) for item in batch.images], merge_options(query, batch)


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.batch_images:
        raise InvalidParameterError(
            f"The batch has {count} images; {limits.batch_images} are the most."
        )


class _Batch(ClassifyOptions):
    """`BatchBody`, but an image of the wrong form spoils only itself."""

    images: list[Any] = Field(min_length=1)


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
