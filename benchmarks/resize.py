"""Photos made smaller by the client: what that saves, and what it changes of the answers.

    python -m benchmarks.resize [--photos FOLDER] [--most 400] [--quick]

Every photo of the folder is asked for untouched, and with each `resize` of `viewfinder.Client`. A
photo that is no larger than that goes untouched: `photos` counts the others, and the answers are
compared for these alone. The whole call has the client's decoding in it; on one machine, it shares
the cores with the server's.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import PHOTOS, Figure, median, parse, parser, save
from benchmarks.processes import viewfinder
from viewfinder import Client, Prediction
from viewfinder.client.photos.shrinking import shrink

_RESIZES = (256, 384, 512, 768, 1024)
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one `resize` does to the photos that it touches.

    Attributes:
        resize: Pixels of the shorter side.
        photos: How many it touches.
        agreement: The part of these with the same top class as untouched, 0-1.
        mean_difference: Of the confidence in the class that the untouched photo got, 0-1.
        worst_difference: The largest of these.
        kilobytes: Sent for one photo, on the average.
        kilobytes_before: The same untouched.
        decode_ms: On the server, median.
        decode_ms_before: The same untouched.
        call_ms: Of the whole call, median.
        call_ms_before: The same untouched.
    """

    resize: int
    photos: int
    agreement: float
    mean_difference: float
    worst_difference: float
    kilobytes: float
    kilobytes_before: float
    decode_ms: float
    decode_ms_before: float
    call_ms: float
    call_ms_before: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """One photo, and what was said of it."""

    answer: Prediction
    call_ms: float


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__, most=(400, 5))
    made.add_argument("--photos", type=Path, help="a folder; default: examples/photos")
    arguments = parse(made)
    photos = [path.read_bytes() for path in find(arguments.photos, arguments.most)]
    with viewfinder() as server:
        plain = ask(server.url, photos, None)
        effects = [
            effect
            for resize in _RESIZES
            if (effect := measure(server.url, photos, plain, resize)) is not None
        ]
    show(effects)
    figures = [
        Figure(f"same class with resize={one.resize}, percent", 100 * one.agreement)
        for one in effects
    ]
    save("resize", figures, photos=len(photos), effects=[asdict(one) for one in effects])


def find(folder: Path | None, most: int) -> Sequence[Path]:
    """So many photos of a folder and all below it, evenly spread."""
    if folder is None:
        return PHOTOS[:most]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    return found[:: max(1, len(found) // most)][:most]


def ask(url: str, photos: Sequence[bytes], resize: int | None) -> list[_Asked]:
    """Ask for every photo, one after the other, after one that does not count."""
    with Client(url, resize=resize) as client:
        client.classify(photos[0])
        return [_ask(client, photo) for photo in photos]


def _ask(client: Client, photo: bytes) -> _Asked:
    began = time.perf_counter()
    answer = client.classify(photo, top_k=100)
    return _Asked(answer, (time.perf_counter() - began) * 1000)


def measure(
    url: str, photos: Sequence[bytes], plain: Sequence[_Asked], resize: int
) -> Effect | None:
    """Compare, for the photos that it touches; None where there is none."""
    sent = [shrink(photo, resize) for photo in photos]
    touched = [n for n, photo in enumerate(photos) if sent[n] is not photo]
    if not touched:
        return None
    smaller = ask(url, [photos[n] for n in touched], resize)
    before = [plain[n] for n in touched]
    differences = [
        abs(one.answer.top.confidence - confidence(other.answer, one.answer.top.index))
        for one, other in zip(before, smaller, strict=True)
    ]
    same = [
        one.answer.top.index == other.answer.top.index
        for one, other in zip(before, smaller, strict=True)
    ]
    return Effect(
        resize=resize,
        photos=len(touched),
        agreement=sum(same) / len(same),
        mean_difference=sum(differences) / len(differences),
        worst_difference=max(differences),
        kilobytes=sum(len(sent[n]) for n in touched) / len(touched) / 1000,
        kilobytes_before=sum(len(photos[n]) for n in touched) / len(touched) / 1000,
        decode_ms=median([one.answer.timing.decode for one in smaller]),
        decode_ms_before=median([one.answer.timing.decode for one in before]),
        call_ms=median([one.call_ms for one in smaller]),
        call_ms_before=median([one.call_ms for one in before]),
    )


def confidence(answer: Prediction, index: int) -> float:
    """In one class; 0 where it is not among the first hundred."""
    return next((one.confidence for one in answer.classes if one.index == index), 0.0)


def show(effects: Sequence[Effect]) -> None:
    """Print the table."""
    print(f"{'resize':>7}{'photos':>8}{'same %':>8}{'mean':>8}{'worst':>8}", end="")
    print(f"{'kB':>16}{'decode ms':>16}{'call ms':>16}")
    for one in effects:
        print(f"{one.resize:7}{one.photos:8}{100 * one.agreement:8.1f}", end="")
        print(f"{one.mean_difference:8.4f}{one.worst_difference:8.4f}", end="")
        print(f"{one.kilobytes_before:8.1f} ->{one.kilobytes:5.1f}", end="")
        print(f"{one.decode_ms_before:8.2f} ->{one.decode_ms:5.2f}", end="")
        print(f"{one.call_ms_before:8.2f} ->{one.call_ms:5.2f}")


if __name__ == "__main__":
    main()
