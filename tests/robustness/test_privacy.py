"""An upload leaves nothing behind: a marker in photos is sought in every place that a server has.

Images are stored meanwhile: what is stored is not what was sent.

TESTS_FULL=1 sends 1,000 photos in place of 50.
"""

import base64
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image
from tests.results.answers import rows_in
from tests.robustness import images
from tests.support import COMMAND, FULL, encode, environment, eventually, free_port, in_full

from viewfinder.settings import Settings

COUNT = in_full(50, 1000)
MARKER = "Xq7-whose-photo-is-this-Zk3"


def marked(number: int) -> tuple[str, bytes]:
    """A photo that nobody has sent before, or what is left of one, with the marker everywhere."""
    mark = f"{MARKER}-{number}".encode()
    image = images.picture("cat.jpg").resize((200 + number % 50, 150))
    exif = Image.Exif()
    exif[0x010E] = mark.decode()
    xmp = b"<x:xmpmeta>" + mark + b"</x:xmpmeta>"
    match number % 5:
        case 0:
            data = encode(image, "JPEG", exif=exif, comment=mark, xmp=xmp)
        case 1:
            texts = [
                (b"tEXt", b"Comment\0" + mark),
                (b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp),
            ]
            data = images.png_with(image, before=[*texts, (b"eXIf", exif.tobytes()[6:])])
        case 2:
            data = encode(image, "WEBP", exif=exif, xmp=xmp)
        case 3:
            data = encode(image, "GIF", comment=mark)
        case _:
            # So long that a form would be spooled to disk by most servers.
            data = encode(image, "JPEG", exif=exif, comment=mark) + mark + bytes(1_500_000)
    if number % 7 == 3:  # broken in the middle, or from the first byte on
        return f"{mark.decode()}.jpg", data[: len(data) // 2] + mark
    if number % 7 == 5:
        return f"{mark.decode()}.jpg", mark + data
    return f"{mark.decode()}.jpg", data


def send(http: httpx2.Client, number: int) -> Iterator[httpx2.Response]:
    """Send one in each of the ways, or by turns where they are many."""
    name, data = marked(number)
    text = base64.b64encode(data).decode()
    broken = marked(number + 1)
    raw: dict[str, Any] = {"content": data, "headers": {"content-type": "image/jpeg"}}
    form: dict[str, Any] = {"files": {"file": (name, data)}, "headers": {"user-agent": name}}
    forms: dict[str, Any] = {"files": [("files", (name, data)), ("files", broken)]}
    ways: list[tuple[str, dict[str, Any]]] = [
        ("/v1/classify", raw),
        ("/v1/classify", form),
        ("/v1/classify", {"json": {"image": text}}),
        ("/v1/batch-classify", forms),
        ("/v1/batch-classify", {"json": {"images": [{"image": text}, {"image": "/"}]}}),
    ]
    for path, body in [ways[number // len(ways) % len(ways)]] if FULL else ways:
        yield http.post(path, **body)


def files_with_marker(*folders: Path) -> set[Path]:
    """Files below some folders that have it in their name or their content."""
    found = set()
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if MARKER in path.name or (path.is_file() and MARKER.encode() in path.read_bytes()):
                found.add(path)
    return found


def open_files_with_marker(process: psutil.Process) -> set[Path]:
    """What a process has open, deleted or not, that has the marker in it."""
    found = set()
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if entry.is_file() and MARKER.encode() in entry.read_bytes():
                found.add(entry.readlink())
    return found


@contextlib.contextmanager
def watching(process: psutil.Process, folder: Path) -> Iterator[set[Path]]:
    """Look again and again, also while a request is under way."""
    found: set[Path] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            found.update(open_files_with_marker(process), files_with_marker(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join(30)


def test_nothing_of_a_photo_is_left_anywhere(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    said = tmp_path / "said"
    port = free_port()
    with said.open("wb") as log:
        process = psutil.Popen(
            [COMMAND, "serve", "--port", str(port)],
            env={**environment(home, RECORD="images"), "TMPDIR": str(temporary)},
            stdout=log,
            stderr=log,
        )
    try:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False
        ) as http:
            eventually(lambda: b"ready: " in said.read_bytes(), within=60)
            with watching(process, temporary) as found:
                statuses = {
                    answer.status_code for number in range(COUNT) for answer in send(http, number)
                }
        assert found == set()
        assert statuses == {200, 415, 422}
        process.terminate()
        assert process.wait(60) == 0
    finally:
        if process.is_running():
            process.kill()
            process.wait(60)
    assert b"ready: " in said.read_bytes()
    assert files_with_marker(tmp_path) == set()
    kept = rows_in(Settings(home=home))
    assert len(kept) > COUNT / 2
    stored = list((home / "blobs").rglob("*.jpg"))
    assert stored
    assert len(stored) == sum(row["stored_bytes"] is not None for row in kept)


def test_what_looks_for_the_marker_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "spooled").write_bytes(marked(0)[1])
    assert files_with_marker(tmp_path) == {tmp_path / "spooled"}
    with (tmp_path / "spooled").open("rb"):
        assert open_files_with_marker(psutil.Process()) == {tmp_path / "spooled"}
    assert all(MARKER.encode() in marked(number)[1] for number in range(35))
