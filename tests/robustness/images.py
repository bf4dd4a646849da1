"""Hostile image files, made from real photos."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from tests.support import encode, photo

from viewfinder.imaging.formats import isobmff
from viewfinder.imaging.formats.isobmff_writing import write

SOI, EOI, SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"

# What a document of that kind begins with.
DOCUMENTS = {
    "html": b"<!DOCTYPE html><html><img src=x onerror=alert(1)></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script/></svg>',
    "pdf": b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
}


def picture(name: str = "espresso.jpg") -> Image.Image:
    """An example photo."""
    return Image.open(io.BytesIO(photo(name))).convert("RGB")


def foreign() -> dict[str, bytes]:
    """Images that are not of an accepted format."""
    image = picture().resize((64, 64))
    photoshop = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 64, 64, 8, 3) + bytes(
        12 + 2 + 3 * 64 * 64
    )
    cards = ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 64", "NAXIS2  = 64", "END")
    fits = "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880 * 2)
    encoded = {kind: encode(image, kind) for kind in ("TIFF", "JPEG2000", "DDS")}
    return {**encoded, "PSD": photoshop, "FITS": fits}


# PNG


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """One chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each chunk."""
    found, place = [], 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4])
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A file of such chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_with(
    image: Image.Image,
    *,
    before: Sequence[tuple[bytes, bytes]] = (),
    after: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG with more chunks, after its header or before its end."""
    first, *middle, last = png_chunks(encode(image))
    return png_of([first, *before, *middle, *after, last])


def png_longer(image: Image.Image, more: bytes | int) -> bytes:
    """A PNG whose pixels' data goes on, with such bytes or so many zeros."""
    chunks = png_chunks(encode(image))
    packer = zlib.compressobj()
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    packed = [packer.compress(raw)]
    if isinstance(more, bytes):
        packed.append(packer.compress(more))
    else:
        packed += [packer.compress(bytes(1 << 20)) for _ in range(more >> 20)]
    packed.append(packer.flush())
    (header,) = (body for kind, body in chunks if kind == b"IHDR")
    return png_of([(b"IHDR", header), (b"IDAT", b"".join(packed)), (b"IEND", b"")])


def apng(image: Image.Image, frames: int) -> bytes:
    """An animated PNG, with frames of one pixel after its first."""
    header, *pixels, _ = png_chunks(encode(image))
    dot = zlib.compress(b"\0\0\0\0")

    def control(number: int, width: int, height: int) -> tuple[bytes, bytes]:
        return b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0)

    more = []
    for number in range(1, frames):
        more.append(control(2 * number - 1, 1, 1))
        more.append((b"fdAT", struct.pack(">I", 2 * number) + dot))
    start = [header, (b"acTL", struct.pack(">II", frames, 0)), control(0, *image.size)]
    return png_of([*start, *pixels, *more, (b"IEND", b"")])


# JPEG


def jpeg_segment(kind: int, body: bytes) -> bytes:
    """One segment with a length."""
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def jpeg_with(data: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments at its beginning."""
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_profile(profile: bytes) -> list[bytes]:
    """A colour profile in as many segments as it takes."""
    parts = [profile[place : place + 65_000] for place in range(0, len(profile), 65_000)]
    return [
        jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number % 256, len(parts) % 256)) + part)
        for number, part in enumerate(parts, 1)
    ]


def many_scans(image: Image.Image, scans: int) -> bytes:
    """A progressive JPEG that repeats its shortest scan."""
    data = encode(image, "JPEG", progressive=True)
    starts = [place for place in range(len(data)) if data[place : place + 2] == SCAN]
    # From the second on: the first is of all colours.
    pieces = [data[start:end] for start, end in zip(starts[1:], [*starts[2:], -2], strict=True)]
    shortest = min(pieces, key=len)
    return data[:-2] + shortest * scans + EOI


def corrupted(data: bytes, seed: int, flips: int = 40) -> bytes:
    """A JPEG with bits turned over in its scan."""
    draw = np.random.default_rng(seed)
    broken = bytearray(data)
    for _ in range(flips):
        place = draw.integers(data.index(SCAN) + 14, len(data) - 2)
        broken[place] ^= 1 << int(draw.integers(8))
    return bytes(broken)


def ycck(image: Image.Image) -> bytes:
    """A JPEG of luminance, two colours and black, inverted as Adobe does."""
    cmyk = np.asarray(image.convert("CMYK"))
    inverted = Image.fromarray(255 - cmyk[:, :, :3], "RGB").convert("YCbCr")
    stored = np.dstack([np.asarray(inverted), 255 - cmyk[:, :, 3]])
    # Pillow inverts what it writes.
    data = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def twelve_bits(data: bytes) -> bytes:
    """A JPEG whose frame announces 12 bits a sample."""
    place = data.index(b"\xff\xc0")
    return data[: place + 4] + b"\x0c" + data[place + 5 :]


def lossless_jpeg(side: int = 64) -> bytes:
    """A lossless JPEG of one grey: every difference from the sample before is nothing."""
    frame = jpeg_segment(0xC3, struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0))
    table = jpeg_segment(0xC4, b"\0\1" + bytes(15) + b"\0")
    scan = jpeg_segment(0xDA, bytes((1, 1, 0, 1, 0, 0)))
    return SOI + table + frame + scan + bytes(side * side // 8) + EOI


def greedy_exif(entries: int, length: int) -> bytes:
    """An EXIF block each of whose tags claims almost all of it as its value."""
    entry = b"".join(struct.pack(">HHII", tag, 7, length, 0) for tag in range(entries))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", entries) + entry + bytes(4)
    return block + bytes(max(0, length - len(block)))


def jpeg_and_zip(data: bytes) -> bytes:
    """A JPEG that is an archive as well."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("run.sh", "echo polyglot")
    return data + archive.getvalue()


# WebP


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk, padded."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_of(*chunks: bytes) -> bytes:
    """A file of such chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_frames(image: Image.Image, frames: int) -> bytes:
    """An animated WebP whose second frame comes again and again."""
    other = Image.new("RGB", image.size)
    data = encode(image, "WEBP", save_all=True, append_images=[other], duration=10)
    second = data.rindex(b"ANMF")
    return webp_of(data[12:second] + data[second:] * (frames - 1))


def webp_broken_tables(seed: int, width: int = 64) -> bytes:
    """A lossless WebP whose Huffman codes do not add up, as those of CVE-2023-4863.

    The length of each of the first code's symbols is read from a code of two symbols, 0 and 15 or
    less: by chance there are always too many or too few.
    """
    draw = np.random.default_rng(seed)
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend(value >> bit & 1 for bit in range(count))

    put(0x2F, 8)
    put(width - 1, 14)
    put(width - 1, 14)
    put(0, 1 + 3)  # no alpha, version 0
    put(0, 1)  # no transform
    cached = int(draw.integers(2))
    put(cached, 1)
    if cached:
        put(int(draw.integers(1, 12)), 4)
    put(0, 1)  # one group of codes
    put(0, 1)  # a code that is not simple
    # Lengths of the code for lengths come in this order: 17, 18, 0, 1, 2, ..., 15, all but the two
    # that are used unused.
    used = {2, 3 + int(draw.integers(8, 15))}
    put(19 - 4, 4)
    for place in range(19):
        put(int(place in used), 3)
    put(0, 1)  # all symbols
    bits.extend(draw.integers(0, 2, 20_000).tolist())
    payload = bytes(
        sum(bit << place for place, bit in enumerate(bits[start : start + 8]))
        for start in range(0, len(bits), 8)
    )
    return webp_of(webp_chunk(b"VP8L", payload))


# GIF and BMP


def gif_with(image: Image.Image, blocks: bytes) -> bytes:
    """A GIF with more before its first frame."""
    data = encode(image, "GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + blocks + data[start:]


def bmp_runs(size: tuple[int, int], runs: bytes, bits: int = 8) -> bytes:
    """A run-length encoded BMP of four or eight bits."""
    palette = b"".join(bytes((level, 255 - level, level, 0)) for level in range(1 << bits))
    start = 14 + 40 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(runs), 0, 0, start)
    kind = {8: 1, 4: 2}[bits]
    info = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, kind, len(runs), 0, 0, 1 << bits, 0)
    return head + info + palette + runs


def bmp_of_runs(image: Image.Image) -> bytes:
    """An image as an eight-bit BMP, run by run."""
    indices = np.asarray(image.convert("L"))[::-1]
    lines = []
    for row in indices:
        starts = np.flatnonzero(np.diff(row, prepend=-1 - int(row[0])))
        for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
            lengths = [min(255, end - place) for place in range(start, end, 255)]
            lines += [bytes((length, row[start])) for length in lengths]
        lines.append(b"\0\0")
    return bmp_runs(image.size, b"".join(lines) + b"\0\1")


# HEIC


def heic_of_tiles(pair: bytes, size: tuple[int, int] = (310, 110)) -> bytes:
    """The two pictures of a HEIC file as the tiles of one, which is cropped to that size."""
    container = isobmff.Container.read(pair)
    tiles = [container.item(number) for number in (1, 2)]
    shape = struct.pack(">4BHH", 0, 0, 0, 1, *size)
    spread = isobmff.Property(b"ispe", struct.pack(">4xII", *size))
    grid = isobmff.Item(3, b"grid", shape, (spread,))
    return write([grid, *tiles], [isobmff.Reference(b"dimg", 3, (1, 2))])


def hevc_sequence(width: int, height: int) -> bytes:
    """The unit of a HEVC stream that says how large its pictures are."""

    def golomb(number: int) -> str:
        bits = f"{number + 1:b}"
        return "0" * (len(bits) - 1) + bits

    bits = "0" * 8 + "1" * 96 + golomb(0) + golomb(1) + golomb(width) + golomb(height) + "1"
    bits += "0" * (-len(bits) % 8)
    return bytes([33 << 1, 1]) + int(bits, 2).to_bytes(len(bits) // 8)
