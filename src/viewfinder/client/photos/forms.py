"""Multipart forms that are written while they are sent: one file at a time is in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_PIECE = 256 * 1024

Source: TypeAlias = Path | Callable[[], bytes]
"""Where the bytes of a file come from: one on the disk that goes as it is, or what is called when
its turn comes."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a form.

    Attributes:
        field: Its name in the form.
        filename: What it is called.
        source: Its bytes.
    """

    field: str
    filename: str
    source: Source


@dataclass(frozen=True, slots=True)
class Form:
    """A form of files (RFC 7578), which can be written any number of times.

    Attributes:
        boundary: What stands between its parts, and in none of them.
        parts: The files.
    """

    boundary: str
    parts: Sequence[FilePart]

    @property
    def content_type(self) -> str:
        """Of the whole."""
        return f"multipart/form-data; boundary={self.boundary}"

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the form; reading them may wait for a disk.

        Raises:
            OSError: A file cannot be read.
        """
        for part in self.parts:
            yield self._head(part)
            if isinstance(part.source, Path):
                with part.source.open("rb") as file:
                    while piece := file.read(_PIECE):
                        yield piece
            else:
                yield part.source()
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()

    def _head(self, part: FilePart) -> bytes:
        disposition = f'form-data; name="{part.field}"; filename="{_quoted(part.filename)}"'
        lines = [
            f"--{self.boundary}",
            f"Content-Disposition: {disposition}",
            "Content-Type: application/octet-stream",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="replace")


def _quoted(filename: str) -> str:
    """As browsers write it (https://html.spec.whatwg.org/#multipart-form-data)."""
    return filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
