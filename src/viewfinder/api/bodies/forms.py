"""A form with files, held as a whole and in memory. `streaming` reads one part by part."""

import re
from dataclasses import dataclass

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from viewfinder.api.guards.body import FORM
from viewfinder.api.schemas.classify import ClassifyOptions
from viewfinder.errors import MalformedRequestError
from viewfinder.settings import MIB

# RFC 2046, section 5.1.1
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{1,70}")

UNFINISHED_FORM = "The multipart form ends before its last boundary."
"""What to say of one that was cut off: parts of it would be missing without a word."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form.

    Attributes:
        data: Its bytes.
        filename: What the client called it; never used as a path.
    """

    data: bytes
    filename: str | None


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


async def read_form(request: Request, field: str) -> tuple[list[FormFile], ClassifyOptions]:
    """The files of one field of a form, and the options in its other fields.

    Raises:
        MalformedRequestError: It is no proper form, or has no file in that field.
        RequestValidationError: An option is out of range.
    """
    boundary = read_boundary(request)
    # Nothing but the boundary is passed on: a charset would let the client choose among all of
    # Python's codecs, some of which are quadratic. Forms are UTF-8.
    headers = Headers({"content-type": f'{FORM}; boundary="{boundary.decode()}"'})
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
        found = [FormFile(await file.read(), file.filename) for file in files]
        return found, ClassifyOptions.model_validate(options)
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
