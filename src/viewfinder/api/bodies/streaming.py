"""A multipart form part by part, so that one of gigabytes needs the memory of one part.

It is as strict as Starlette's reader and `forms` together, on the same parser.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from viewfinder.api.bodies.forms import UNFINISHED_FORM, read_boundary
from viewfinder.errors import MalformedRequestError

_MOST_TEXTS = 100
_LONGEST_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Text:
    """A field without a file.

    Attributes:
        name: Of the field.
        value: What it says.
    """

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that was short enough to be held.

    Attributes:
        name: Of the field.
        filename: What the client calls it; never used as a path.
        data: Its bytes; None where there were more than may be held.
    """

    name: str
    filename: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file begins that comes in pieces.

    Attributes:
        name: Of the field.
    """

    name: str


@dataclass(frozen=True, slots=True)
class FilePiece:
    """The next bytes of the file that comes in pieces.

    Attributes:
        data: At least one byte.
    """

    data: bytes


Part = Text | WholeFile | FileStart | FilePiece


async def read_parts(
    request: Request, *, whole: str, in_pieces: str, longest: int
) -> AsyncGenerator[Part]:
    """The parts of a form, as they come.

    Args:
        request: Whose body is a form.
        whole: The field whose files are held, each to its end.
        in_pieces: The field whose files are not held.
        longest: The most bytes of a file that is held.

    Raises:
        MalformedRequestError: It is no proper form, or ends before its last boundary; or there are
            too many fields that nobody asks for; or what should be a file is none.
    """
    reader = _Reader(read_boundary(request), whole, in_pieces, longest)
    async for chunk in request.stream():
        for part in reader.feed(chunk):
            yield part
    if not reader.ended:
        raise MalformedRequestError(UNFINISHED_FORM)


@dataclass(slots=True)
class _Open:
    """The part that is being read.

    Attributes:
        disposition: Its header of that name, as far as it has come.
        name: Of the field.
        filename: None for a text.
        data: What is held of it.
        size: How many bytes have come.
    """

    disposition: bytes | None = None
    name: str = ""
    filename: str | None = None
    data: bytearray = field(default_factory=bytearray)
    size: int = 0


class _Reader:
    """What the parser calls."""

    def __init__(self, boundary: bytes, whole: str, in_pieces: str, longest: int) -> None:
        self.ended = False
        self._whole, self._in_pieces, self._longest = whole, in_pieces, longest
        self._part = _Open()
        self._header, self._value = b"", b""
        self._others = 0
        self._found: list[Part] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._read_header,
                "on_header_value": self._read_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._name_part,
                "on_part_data": self._read_data,
                "on_part_end": self._end,
                "on_end": self._end_form,
            },
        )

    def feed(self, chunk: bytes) -> list[Part]:
        """The parts that end in these bytes."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedRequestError("The multipart form is broken.") from error
        self._hand_on()
        found, self._found = self._found, []
        return found

    def _begin(self) -> None:
        self._part = _Open()

    def _read_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _read_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._part.disposition = self._value
        self._header, self._value = b"", b""

    def _name_part(self) -> None:
        part = self._part
        _, options = parse_options_header(part.disposition)
        if b"name" not in options:
            raise MalformedRequestError("A part of the multipart form has no name.")
        part.name = _decode(options[b"name"])
        part.filename = _decode(options[b"filename"]) if b"filename" in options else None
        is_file = part.name in {self._whole, self._in_pieces}
        if is_file and part.filename is None:
            raise MalformedRequestError(
                f"The form field {part.name!r} must be a file, with a filename: "
                f"curl -F {part.name}=@... does that."
            )
        if part.name == self._in_pieces:
            self._found.append(FileStart(part.name))
        elif not is_file:
            self._others += 1
            if self._others > _MOST_TEXTS:
                raise MalformedRequestError("The multipart form has too many fields.")

    def _read_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.filename is None and part.size > _LONGEST_TEXT:
            raise MalformedRequestError("A field of the multipart form is too long.")
        if self._is_held(part):
            part.data += data[start:end]
        else:
            part.data.clear()

    def _is_held(self, part: _Open) -> bool:
        if part.filename is None or part.name == self._in_pieces:
            return True
        return part.name == self._whole and part.size <= self._longest

    def _hand_on(self) -> None:
        """Let go of what has come of the file that comes in pieces."""
        part = self._part
        if part.name == self._in_pieces and part.data:
            self._found.append(FilePiece(bytes(part.data)))
            part.data.clear()

    def _end(self) -> None:
        part = self._part
        self._hand_on()
        if part.filename is None:
            self._found.append(Text(part.name, _decode(part.data)))
        elif part.name == self._whole:
            data = bytes(part.data) if part.size <= self._longest else None
            self._found.append(WholeFile(part.name, part.filename, data))

    def _end_form(self) -> None:
        self.ended = True


def _decode(text: bytes | bytearray) -> str:
    """As Starlette does: UTF-8, or else what cannot be wrong."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
