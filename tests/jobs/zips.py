"""Zips that no program would make."""

import io
import struct
import zipfile
from collections.abc import Mapping

_END = "<4s4H2LH"
_CENTRAL = "<4s4B4HL2L5H2L"


def zipped(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these files, as any program makes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def changed(archive: bytes, **fields: int) -> bytes:
    """The same archive, with other numbers in the directory's only entry."""
    names = ("flags", "method", "crc", "compressed", "size", "external", "offset")
    places = (8, 10, 16, 20, 24, 38, 42)
    start, data = archive.rindex(b"PK\1\2"), bytearray(archive)
    for name, place in zip(names, places, strict=True):
        if name in fields:
            kind = "<H" if name in {"flags", "method"} else "<L"
            struct.pack_into(kind, data, start + place, fields[name])
    return bytes(data)


def flood(entries: int, *, name: bytes = b"x") -> bytes:
    """A directory of so many entries, and nothing else."""
    head = [b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0]
    directory = (struct.pack(_CENTRAL, *head) + name) * entries
    few = min(entries, 0xFFFF)
    return directory + struct.pack(_END, b"PK\5\6", 0, 0, few, few, len(directory), 0, 0)


def quoting(copies: int, content: bytes) -> bytes:
    """Many names for the same bytes: small, and as large as one likes once it is unpacked."""
    (start, directory, end) = _parts(zipped({"x": content}))
    return start + directory * copies + _with_directory(end, copies, len(directory) * copies)


def _parts(archive: bytes) -> tuple[bytes, bytes, bytes]:
    first, last = archive.index(b"PK\1\2"), archive.rindex(b"PK\5\6")
    return archive[:first], archive[first:last], archive[last:]


def _with_directory(end: bytes, entries: int, size: int) -> bytes:
    fields = [*struct.unpack(_END, end)]
    fields[3], fields[4], fields[5] = entries, entries, size
    return struct.pack(_END, *fields)
