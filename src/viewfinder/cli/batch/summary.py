"""What a run came to."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from viewfinder.cli.batch.answers import Line
from viewfinder.shared.plain import printable
from viewfinder.types import ServedModel

_SHOWN = 5
_BAR = 24


@dataclass(slots=True)
class Tally:
    """Counts lines.

    Attributes:
        images: All of them.
        classes: How often each class was the most confident one.
        errors: How often each code kept a photo from being answered.
        unsure: Answers that the model does not rely on.
    """

    images: int = 0
    unsure: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, line: Line) -> None:
        """Count one more."""
        self.images += 1
        if "error" in line:
            self.errors[line["error"]["code"]] += 1
        else:
            self.classes[line["class"]] += 1
            self.unsure += line["abstained"]

    @property
    def failed(self) -> int:
        """Photos without an answer."""
        return self.errors.total()


@dataclass(frozen=True, slots=True)
class Summary:
    """A run that has come to its end.

    Attributes:
        tally: Of all photos.
        resumed: Photos that an earlier run had answered.
        seconds: What this one took.
        model: Who answered; None where nobody has.
        out: Where the answers are.
    """

    tally: Tally
    resumed: int
    seconds: float
    model: ServedModel | None
    out: Path

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        tally, model = self.tally, self.model
        return {
            "out": str(self.out),
            "model": model and f"{model.name}@{model.version}",
            "images": tally.images,
            "failed": tally.failed,
            "resumed": self.resumed,
            "seconds": round(self.seconds, 3),
            "classes": dict(tally.classes.most_common()),
            "errors": dict(tally.errors.most_common()),
        }

    def as_text(self) -> str:
        """For people."""
        tally = self.tally
        new = tally.images - self.resumed
        pace = f"{new:,} in {_time(self.seconds)}"
        if self.seconds > 0:
            pace += f" ({new / self.seconds:,.1f} a second)"
        before = f", {self.resumed:,} of them before" if self.resumed else ""
        lines = [f"{tally.images:,} images, {tally.failed:,} failed{before}; {pace}: {self.out}"]
        lines += [f"  {count:,} {code}" for code, count in tally.errors.most_common()]
        return "\n".join([*lines, *self._frequent()])

    def _frequent(self) -> list[str]:
        """The most frequent classes, as bars."""
        tally = self.tally
        answered = tally.classes.total()
        if not answered:
            return []
        shown = [(printable(name), count) for name, count in tally.classes.most_common(_SHOWN)]
        name_width = max(len(name) for name, _ in shown)
        width = len(f"{shown[0][1]:,}")
        lines = [
            f"  {name:{name_width}}  {count:{width},}  {count / answered:6.1%}  "
            f"{'█' * round(_BAR * count / answered)}".rstrip()
            for name, count in shown
        ]
        others = len(tally.classes) - len(shown)
        if others:
            count = answered - sum(count for _, count in shown)
            words = f"{others:,} others" if others > 1 else "1 other"
            lines.append(f"  {words:{name_width}}  {count:{width},}")
        if tally.unsure:
            lines.append(f"  not sure enough of {tally.unsure:,}")
        return lines


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
