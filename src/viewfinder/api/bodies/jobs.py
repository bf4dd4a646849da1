"""Request bodies to the images of a job."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from viewfinder.api.bodies.json import read_json
from viewfinder.api.bodies.streaming import FilePiece, FileStart, Text, WholeFile, read_parts
from viewfinder.api.guards.body import FORM, media_type
from viewfinder.api.schemas.jobs import JobOptions, UrlsBody
from viewfinder.api.services import Services
from viewfinder.errors import (
    BlockedAddressError,
    InvalidParameterError,
    MalformedRequestError,
    UrlFetchDisabledError,
)
from viewfinder.jobs.spool import Spool
from viewfinder.net.urls import read_url
from viewfinder.settings import FetchSettings, Settings

if TYPE_CHECKING:
    from viewfinder.jobs.intake import Intake

# The commas of its address, for each image.
_VALUES = 10
_ONE_OR_THE_OTHER = "Send the images as `files`, or in one `archive`, and not as both."


async def read_images(request: Request, services: Services, intake: "Intake") -> JobOptions:
    """Take in the images of a request; return the options in its body.

    Raises:
        RequestError: The body is not what the API documents, or holds too many images.
        RequestValidationError: An option is out of range.
        OverloadedError: There is no place where the images could be kept.
    """
    if media_type(request.headers.get("content-type")) == FORM:
        return await _read_form(request, services.settings, intake)
    return await _read_urls(request, services, intake)


def check_callback(url: str | None, settings: Settings) -> None:
    """Refuse what nobody could be told at. Names are looked up when somebody is told.

    Raises:
        BlockedAddressError: It has another form, or an address that is not public.
    """
    if url is None:
        return
    webhooks = settings.webhooks
    try:
        read_url(url, webhooks.ports, allow_private=webhooks.allow_private)
    except BlockedAddressError as error:
        raise BlockedAddressError(f"callback_url: {error.detail}") from error


async def _read_form(request: Request, settings: Settings, intake: "Intake") -> JobOptions:
    texts: dict[str, str] = {}
    spool, files = None, 0
    with ExitStack() as held:
        async for part in read_parts(
            request, whole="files", in_pieces="archive", longest=settings.limits.image_bytes
        ):
            match part:
                case Text(name, value):
                    texts[name] = value
                case WholeFile(_, filename, data):
                    if spool is not None:
                        raise MalformedRequestError(_ONE_OR_THE_OTHER)
                    files += 1
                    await intake.add_image(filename, data)
                case FileStart():
                    if spool is not None or files:
                        raise MalformedRequestError(_ONE_OR_THE_OTHER)
                    spool = Spool(settings.home)
                    held.callback(spool.close)
                case FilePiece(data) if spool is not None:
                    await spool.write(data)
        options = _options(texts)
        if spool is not None:
            await intake.add_archive(await spool.whole())
    return options


def _options(texts: dict[str, str]) -> JobOptions:
    try:
        return JobOptions.model_validate(texts)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


async def _read_urls(request: Request, services: Services, intake: "Intake") -> JobOptions:
    settings = services.settings
    if services.fetcher is None:
        off = "This server does not fetch images by URL; send the images."
        raise UrlFetchDisabledError(off)
    most = settings.jobs.images
    body = await read_json(UrlsBody, request, most_values=_VALUES * most)
    if len(body.urls) > most:
        raise InvalidParameterError(
            f"The job has {len(body.urls):,} images; {most:,} are the most."
        )
    await asyncio.to_thread(_check_urls, body.urls, settings.fetch)
    for url in body.urls:
        intake.add_url(url)
    return body


def _check_urls(urls: Sequence[str], fetch: FetchSettings) -> None:
    for index, url in enumerate(urls):
        try:
            read_url(url, fetch.ports, allow_private=fetch.allow_private)
        except BlockedAddressError as error:
            raise BlockedAddressError(f"urls[{index}]: {error.detail}") from error
