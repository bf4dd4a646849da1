"""Answers as they come, on the disk, so that a run that was cut off can go on.

Lines of JSON: first what was asked, then each answer with the stamp of the photo's file. A run that
goes on adds to it; of two answers for a photo the last one counts.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from viewfinder.cli.batch.answers import Line
from viewfinder.cli.batch.sources import Photo
from viewfinder.cli.console import fail
from viewfinder.types import ServedModel

_KIND: Final = "viewfinder classify"
# What may well go better the next time.
_PASSING = frozenset(
    {
        "deadline_exceeded",
        "fetch_failed",
        "internal_error",
        "not_ready",
        "overloaded",
        "rate_limited",
        "request_timeout",
    }
)


def journal_of(out: Path) -> Path:
    """Where the journal of an output lies: beside it."""
    return out.with_name(f"{out.name}.partial.jsonl")


class Journal:
    """The journal of one run, and of those before it that were cut off.

    Attributes:
        path: Where it lies.
        model: Who answered so far; None where nobody has.
        most_classes: That any answer names.
        resumed: Photos whose answers were there from the beginning.
    """

    def __init__(
        self, path: Path, asked: Mapping[str, Any], photos: Iterable[Photo], *, fresh: bool = False
    ) -> None:
        """Open it, or begin one; ends the command when it belongs to something else.

        Args:
            path: Where it lies.
            asked: What makes one run differ from another: the model, the sources and so on.
            photos: All that are to be answered.
            fresh: Forget what is there.
        """
        self.path = path
        self.model: ServedModel | None = None
        self.most_classes = 0
        self._asked = dict(asked)
        self._places: dict[str, int] = {}
        self._file: BinaryIO = _open(path)
        with ExitStack() as held:
            held.callback(self._file.close)
            if fresh:
                self._file.truncate(0)
            self._end = self._load({photo.path: photo for photo in photos})
            self._file.truncate(self._end)  # a line that was torn is dropped
            held.pop_all()
        self.resumed = len(self._places)

    def begin(self, model: ServedModel | None) -> None:
        """Say who answers, before the first answer; ends the command if it was another variant."""
        if self.model is not None and model is not None and self.model != model:
            fail(
                f"{self.path} is of the variant {self.model.variant}, and here {model.variant} "
                "would answer: say --fresh to begin anew"
            )
        if self._end == 0:
            self._add({"journal": _KIND, "asked": self._asked, "model": _as_json(model)})
        self.model = model

    def keep(self, photo: Photo, line: Line) -> None:
        """Keep an answer; it outlives this process at once.

        Raises:
            OSError: It cannot be written.
        """
        self._places[photo.path] = self._add({"stamp": photo.stamp, "line": line})
        self._note(line)

    def lines(self, photos: Iterable[Photo]) -> Iterator[Line]:
        """The answers to these photos, in their order."""
        for photo in photos:
            self._file.seek(self._places[photo.path])
            line: Line = json.loads(self._file.readline())["line"]
            yield line

    def remove(self) -> None:
        """It has done its work."""
        self.path.unlink(missing_ok=True)

    def __contains__(self, photo: Photo) -> bool:
        return photo.path in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._places:
            self.remove()
        self._file.close()

    def _add(self, entry: Mapping[str, Any]) -> int:
        place = self._end
        # ASCII: a file's name need not be UTF-8, and must come back as it is.
        data = json.dumps(entry).encode() + b"\n"
        self._file.write(data)
        self._file.flush()
        self._end += len(data)
        return place

    def _note(self, line: Line) -> None:
        if "error" in line:
            return
        self.most_classes = max(self.most_classes, len(line["classes"]))
        if self.model is None:
            self.model = ServedModel(**line["model"])

    def _load(self, wanted: Mapping[str, Photo]) -> int:
        """Read what is there; how far it is whole."""
        self._file.seek(0)
        end = 0
        for text in self._file:
            entry = _read(text)
            if end == 0 and (entry is not None or text.endswith(b"\n")):
                self._check(entry or {})
            elif entry is None:
                break
            else:
                self._take(entry, end, wanted)
            end += len(text) if entry is not None else 0
        return end

    def _check(self, head: Mapping[str, Any]) -> None:
        if head.get("journal") != _KIND:
            fail(f"{self.path} is none of Viewfinder's; take it away, or say --fresh")
        if head.get("asked") != self._asked:
            differs = [
                name for name, value in self._asked.items() if head["asked"].get(name) != value
            ]
            fail(
                f"{self.path} is of a run with other {' and '.join(differs)}: repeat that to go on "
                "with it, or say --fresh to begin anew"
            )
        if head["model"] is not None:
            self.model = ServedModel(**head["model"])

    def _take(self, entry: Mapping[str, Any], place: int, wanted: Mapping[str, Photo]) -> None:
        line, stamp = entry["line"], entry["stamp"]
        photo = wanted.get(line["path"])
        if photo is None or (stamp and tuple(stamp)) != photo.stamp:
            return  # gone, or changed since
        if "error" in line and line["error"]["code"] in _PASSING:
            return
        self._places[photo.path] = place
        self._note(line)


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("a+b")
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        fail(f"another run is writing {path}")
    return file


def _read(text: bytes) -> dict[str, Any] | None:
    """A line that is whole, else None."""
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if text.endswith(b"\n") and isinstance(entry, dict) else None


def _as_json(model: ServedModel | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {"name": model.name, "version": model.version, "variant": model.variant}
