"""Hostile images over HTTP, by the rows of the table of promises: what each gets."""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
from PIL import Image
from tests.robustness import images
from tests.support import DATA, Server, empty_png, encode, fake_bundle, photo, serving

Answer = tuple[int, str]
INVALID, TOO_LARGE = (422, "invalid_image"), (422, "image_too_large")
UNSUPPORTED = (415, "unsupported_media_type")
ESPRESSO = (200, "espresso")
# Seconds of processor time; a usual photo takes a hundredth of this.
AT_ONCE = 1.5
PICTURE = images.picture()
SMALL = PICTURE.resize((300, 225))
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass
class Caller:
    """Posts to a server that remembers no answer."""

    server: Server
    http: httpx2.Client

    def post(self, data: bytes, kind: str = "image/jpeg", **options: Any) -> httpx2.Response:
        return self.http.post(
            "/v1/classify", content=data, headers={"content-type": kind}, params=options
        )

    def ask(self, data: bytes) -> Answer:
        """Status, and the class or the code of the error."""
        answer = self.post(data)
        body = answer.json()
        return answer.status_code, body["class" if answer.status_code == 200 else "code"]

    def cost(self, data: bytes) -> tuple[Answer, float]:
        """The answer, and the seconds of processor time that it took."""
        process = psutil.Process(self.server.process.pid)
        before = process.cpu_times()
        answer = self.ask(data)
        after = process.cpu_times()
        return answer, after.user - before.user + after.system - before.system


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    home = tmp_path_factory.mktemp("home")
    fake_bundle(home / "models")
    with (
        serving(home, CACHE__ENABLED="false") as server,
        httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http,
    ):
        yield Caller(server, http)
        assert server.process.poll() is None
        assert http.get("/health/ready").status_code == 200
        assert server.stop() == 0
        # Nothing that a decoder says of a stranger's file fills the log.
        assert "Traceback" not in "".join(server.lines)
        assert "Warning" not in "".join(server.lines)


def test_21_a_document_that_is_called_jpg_is_unsupported(caller: Caller) -> None:
    for document in images.DOCUMENTS.values():
        assert caller.ask(document) == UNSUPPORTED
        answer = caller.http.post("/v1/classify", files={"file": ("photo.jpg", document)})
        assert (answer.status_code, answer.json()["code"]) == UNSUPPORTED


def test_22_a_kilobyte_that_declares_50_000_by_50_000_is_refused_undecoded(caller: Caller) -> None:
    data = empty_png(50_000, 50_000)
    answer, seconds = caller.cost(data + bytes(1024 - len(data)))
    assert answer == TOO_LARGE
    assert seconds < AT_ONCE


def test_23_a_size_of_a_million_or_of_nothing_is_refused(caller: Caller) -> None:
    assert caller.ask(empty_png(1, 1_000_000)) == TOO_LARGE
    assert caller.ask(empty_png(1_000_000, 1)) == TOO_LARGE
    assert caller.ask(empty_png(0, 100)) == INVALID
    assert caller.ask(empty_png(100, 0)) == INVALID
    for kind, place, length in (("JPEG", None, 4), ("GIF", 6, 4), ("BMP", 18, 8)):
        data = bytearray(encode(SMALL, kind))
        start = data.index(b"\xff\xc0") + 5 if place is None else place
        data[start : start + length] = bytes(length)
        if kind == "GIF":  # its frame as well
            frame = data.index(b"\x2c", 13 + 768)
            data[frame + 5 : frame + 9] = bytes(4)
        assert caller.ask(bytes(data)) == INVALID


@pytest.mark.parametrize("more", [b"\0", bytes(901), 64 << 20], ids=["byte", "row", "bomb"])
@pytest.mark.parametrize("mode", ["RGB", "P", "1"])
def test_24_png_data_longer_than_its_size_is_refused(
    caller: Caller, more: bytes | int, mode: str
) -> None:
    image = SMALL.convert(mode)
    assert caller.ask(encode(image))[0] == 200
    answer, seconds = caller.cost(images.png_longer(image, more))
    assert answer == INVALID
    assert seconds < AT_ONCE


def test_25_a_flood_of_text_in_a_png_is_refused_without_inflating_it(caller: Caller) -> None:
    bomb = zlib.compress(bytes(300 << 20))
    floods = {
        "tEXt": [(b"tEXt", b"Comment\0x")] * 10_000,
        "zTXt": [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x"))] * 10_000,
        "iTXt": [(b"iTXt", b"Comment\0\0\0\0\0x")] * 10_000,
        "long tEXt": [(b"tEXt", b"Comment\0" + b"x" * 2_000_000)],
        "long iTXt": [(b"iTXt", b"Comment\0\0\0\0\0" + b"x" * 2_000_000)],
        "long XMP": [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 9_000_000)],
        "zTXt bomb": [(b"zTXt", b"Comment\0\0" + bomb)],
        "iTXt bomb": [(b"iTXt", b"Comment\0\1\0\0\0" + bomb)],
        "zTXt bombs": [(b"zTXt", b"Comment\0\0" + bomb)] * 3,
    }
    for name, flood in floods.items():
        for data in (
            images.png_with(SMALL, before=flood),
            images.png_with(SMALL, after=flood),
        ):
            answer, seconds = caller.cost(data)
            assert answer == INVALID, name
            assert seconds < AT_ONCE, name


def test_25_what_text_a_photo_has_is_no_flood(caller: Caller) -> None:
    texts = [(b"tEXt", b"Comment\0" + b"x" * 1000)] * 50
    texts += [(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 100_000))]
    texts += [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 3_000_000)]  # Photoshop's
    assert caller.ask(images.png_with(PICTURE, before=texts, after=texts)) == ESPRESSO


def test_26_a_truncated_jpeg_is_invalid(caller: Caller) -> None:
    for data in (photo("espresso.jpg"), encode(PICTURE, "JPEG", progressive=True)):
        for fraction in (0.001, 0.01, 0.1, 0.5, 0.9):
            assert caller.ask(data[: max(4, int(len(data) * fraction))]) == INVALID


def test_27_corrupt_huffman_data_is_invalid_or_has_a_steady_answer(caller: Caller) -> None:
    for seed in range(20):
        data = images.corrupted(photo("espresso.jpg"), seed)
        answers = {caller.ask(data) for _ in range(3)}
        assert len(answers) == 1
        (status, code) = answers.pop()
        assert status == 200 or (status, code) == INVALID


def test_28_a_progressive_jpeg_of_thousands_of_scans_is_invalid_at_once(caller: Caller) -> None:
    large = (4000, 3000)
    assert caller.ask(encode(PICTURE.resize(large), "JPEG", progressive=True)) == ESPRESSO
    for scans in (100, 5000, 50_000):
        answer, seconds = caller.cost(images.many_scans(Image.new("RGB", large), scans))
        assert answer == INVALID
        assert seconds < AT_ONCE


def test_29_inverted_cmyk_and_ycck_have_the_label_of_rgb(caller: Caller) -> None:
    assert caller.ask(encode(PICTURE.convert("CMYK"), "JPEG", quality=95)) == ESPRESSO
    assert caller.ask(images.ycck(PICTURE)) == ESPRESSO


def test_30_a_jpeg_of_12_bits_or_without_loss_is_invalid(caller: Caller) -> None:
    assert caller.ask(images.twelve_bits(encode(PICTURE, "JPEG"))) == INVALID
    assert caller.ask(images.lossless_jpeg()) == INVALID


def test_31_a_png_of_any_mode_has_the_label_of_rgb(caller: Caller) -> None:
    grey, bits = PICTURE.convert("L"), PICTURE.convert("1")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 99)
    palette = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE, colors=255)
    clear = [encode(palette, transparency=last) for last in (255, b"\xff" * 255 + b"\0")]
    for image, files in (
        (grey, [encode(grey), encode(grey.convert("LA")), encode(deep)]),
        (bits, [encode(bits)]),
        (PICTURE, [encode(PICTURE), encode(PICTURE.convert("RGBA"))]),
        (palette, [encode(palette), *clear]),
    ):
        expected = caller.ask(encode(image.convert("RGB")))
        assert [caller.ask(data) for data in files] == [expected] * len(files)


def test_32_a_photo_of_any_orientation_has_the_label_of_the_upright(caller: Caller) -> None:
    upright = caller.post(encode(PICTURE)).json()["confidence"]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = PICTURE.transpose(TURNS[orientation]) if orientation > 1 else PICTURE
        for kind in ("JPEG", "WEBP"):
            assert caller.ask(encode(stored, kind, exif=exif)) == ESPRESSO
        # Seen from above, a cup may look the same from every side, but not to the last digit.
        for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
            answer = caller.post(encode(stored, kind, exif=exif, **options)).json()
            assert (answer["class"], answer["confidence"]) == ("espresso", upright)


def test_32_a_broken_exif_is_ignored(caller: Caller) -> None:
    blocks = [
        b"",
        b"MM",
        b"garbage" * 1000,
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 1000,
        b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x99\0\0" + bytes(4),
        images.greedy_exif(4000, 60_000),
    ]
    for block in blocks:
        segment = images.jpeg_segment(0xE1, b"Exif\0\0" + block)
        # As a camera writes it, without the resolution that would spare a reader the EXIF.
        data = photo("espresso.jpg")
        assert data[6:10] == b"JFIF"
        answer, seconds = caller.cost(images.jpeg_with(data[:2] + data[20:], segment))
        assert answer == ESPRESSO
        assert seconds < AT_ONCE
        assert caller.ask(images.png_with(PICTURE, before=[(b"eXIf", block)])) == ESPRESSO
        assert caller.ask(encode(PICTURE, "WEBP", exif=block)) == ESPRESSO


def test_33_a_huge_or_broken_colour_profile_is_ignored(caller: Caller) -> None:
    packed = zlib.compress(b"\1" * (40 << 20))
    jpeg = photo("espresso.jpg")
    for profile in (b"", b"broken", bytes(4 << 20)):
        assert caller.ask(images.jpeg_with(jpeg, *images.jpeg_profile(profile))) == ESPRESSO
        assert caller.ask(encode(PICTURE, "WEBP", icc_profile=profile)) == ESPRESSO
        for body in (profile, b"icc\0\0" + profile, b"icc\0\x09" + profile, b"icc\0\0" + packed):
            assert caller.ask(images.png_with(PICTURE, before=[(b"iCCP", body)])) == ESPRESSO
    for body in (b"ICC_PROFILE\0", b"ICC_PROFILE\0\1", b"ICC_PROFILE\0\0\0", b"MPF\0MM"):
        segment = images.jpeg_segment(0xE2, body)
        assert caller.ask(images.jpeg_with(jpeg, segment)) == ESPRESSO


def test_34_of_ten_thousand_frames_the_first_counts_at_once(caller: Caller) -> None:
    assert caller.ask(encode(SMALL, "WEBP"))[1] == caller.ask(encode(SMALL))[1] == "espresso"
    for data in (
        images.webp_frames(SMALL, 10_000),
        images.apng(SMALL, 10_000),
        encode(SMALL, "GIF", save_all=True, append_images=[Image.new("RGB", SMALL.size)] * 50),
    ):
        answer, seconds = caller.cost(data)
        assert answer == ESPRESSO
        assert seconds < AT_ONCE


def test_35_a_lossless_webp_with_broken_huffman_codes_is_invalid(caller: Caller) -> None:
    for seed in range(50):
        assert caller.ask(images.webp_broken_tables(seed)) == INVALID
    sound = encode(SMALL, "WEBP", lossless=True)
    for seed in range(50):
        broken = bytearray(sound)
        draw = np.random.default_rng(seed)
        # Where the codes stand.
        broken[26:120] = draw.integers(0, 256, 94, np.uint8).tobytes()
        answer = caller.ask(bytes(broken))
        assert answer == INVALID or answer[0] == 200


def test_36_an_image_of_another_format_called_jpeg_is_unsupported(caller: Caller) -> None:
    for data in images.foreign().values():
        assert caller.ask(data) == UNSUPPORTED


def test_37_a_jpeg_that_is_an_archive_too_is_a_photo_and_never_stored(
    caller: Caller, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert caller.ask(images.jpeg_and_zip(photo("espresso.jpg"))) == ESPRESSO
    files = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file()]
    assert files
    assert not any(b"echo polyglot" in path.read_bytes() for path in files)


def test_38_nine_megabytes_after_a_jpeg_are_ignored_at_once(caller: Caller) -> None:
    trailers = [bytes(9_000_000), b"\xff\xda" * 4_500_000, photo("cat.jpg") * 200]
    for data in (photo("espresso.jpg"), encode(PICTURE, "JPEG", progressive=True)):
        for trailer in trailers:
            answer, seconds = caller.cost(data + trailer[:9_000_000])
            assert answer == ESPRESSO
            assert seconds < AT_ONCE


def test_39_one_pixel_and_all_black_have_finite_confidences_that_add_up(caller: Caller) -> None:
    for image in (Image.new("RGB", (1, 1), "red"), Image.new("RGB", (300, 200))):
        for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
            all_classes = caller.post(encode(image, kind), model="fake", top_k=100)
            assert all_classes.status_code == 200
            confidences = [one["confidence"] for one in all_classes.json()["classes"]]
            assert len(confidences) == 16
            assert math.isclose(sum(confidences), 1, abs_tol=1e-5)
            answer = caller.post(encode(image, kind), top_k=100)
            assert answer.status_code == 200
            confidences = [one["confidence"] for one in answer.json()["classes"]]
            assert all(math.isfinite(value) and value >= 0 for value in confidences)
            assert 0 < sum(confidences) <= 1 + 1e-5


def test_a_bmp_or_gif_that_is_slow_to_read_is_refused_at_once(caller: Caller) -> None:
    assert caller.ask(images.bmp_of_runs(PICTURE.resize((320, 240)).convert("L")))[0] == 200
    for data in (
        images.bmp_runs((100, 100), b"\0\0" * 5_000_000),
        images.bmp_runs((5000, 5000), (b"\xff\x12" * 20 + b"\0\0") * 5000, bits=4),
    ):
        answer, seconds = caller.cost(data)
        assert answer == TOO_LARGE
        assert seconds < AT_ONCE
    for blocks in (
        b"!\xfe" + b"\1x" * 4_000_000 + b"\0",
        b"!\xf0\0" * 3_000_000,
        b"!\xff\x0bNETSCAPE2.0\0" + b"\x2c" + b"\1x" * 4_000_000,
    ):
        answer, seconds = caller.cost(images.gif_with(SMALL, blocks))
        assert answer in {INVALID, TOO_LARGE}
        assert seconds < AT_ONCE


@pytest.mark.heif
def test_a_heic_photo_is_taken_as_a_body_and_bombs_are_refused_at_once(caller: Caller) -> None:
    data = (DATA / "photo.heic").read_bytes()
    assert caller.post(data, "image/heic").json()["class"] == "espresso"
    answer, seconds = caller.cost(images.heic_of_tiles((DATA / "pair.heic").read_bytes(), (9, 9)))
    assert answer == INVALID
    assert seconds < AT_ONCE
    boxes = struct.pack(">I4s", 8, b"free") * 1_000_000
    answer, seconds = caller.cost(data[:28] + boxes + data[28:])
    assert answer == INVALID
    assert seconds < AT_ONCE
