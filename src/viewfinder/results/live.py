"""How good answers are on the photos that people have looked at."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from viewfinder.evaluation import intervals
from viewfinder.evaluation.estimate import Estimate
from viewfinder.results.labels import in_one_form

if TYPE_CHECKING:
    from viewfinder.storage.results.rows import Tally

CAUTION: Final = (
    "This counts the photos that somebody has reviewed. Where these were chosen because the model "
    "was unsure of them, as the review queue does, its accuracy on all photos is higher than this."
)
_CONFUSIONS = 10


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Part(_Shown):
    """Reviewed answers of one kind."""

    reviewed: int
    correct: int
    accuracy: Estimate | None = Field(description="With its 95% interval, by Wilson; none of none.")

    @classmethod
    def of(cls, correct: int, reviewed: int) -> "Part":
        """Put counts and their share together."""
        return cls(reviewed=reviewed, correct=correct, accuracy=_share(correct, reviewed))


class ClassAccuracy(_Shown):
    """One class, as it is true and as it is answered."""

    label: str = Field(serialization_alias="class")
    reviewed: int = Field(description="Photos that show it.")
    answered: int = Field(description="Photos for which it was the answer.")
    correct: int = Field(description="Photos of which both is true.")
    recall: Estimate | None = Field(description="`correct` of `reviewed`, with its 95% interval.")
    precision: Estimate | None = Field(description="`correct` of `answered`, likewise.")


class Confusion(_Shown):
    """A class that was answered in place of another."""

    label: str = Field(serialization_alias="class", description="What the photos show.")
    answered: str
    count: int


class VersionAccuracy(_Shown):
    """How good one version is on the photos that people have looked at."""

    version: int
    reviewed: int
    correct: int
    accuracy: Estimate = Field(description="Of all, with its 95% interval, by Wilson.")
    answered: Part = Field(description="Where it did not abstain.")
    abstained: Part = Field(description="Where it did; an abstained answer keeps its class.")
    classes: list[ClassAccuracy] = Field(description="In the order of their names.")
    confusions: list[Confusion] = Field(description="The ten most frequent, most frequent first.")


@dataclass
class _Counts:
    """Of one version."""

    cells: Counter[tuple[str, str]] = field(default_factory=Counter)  # true, answered
    reviewed: Counter[bool] = field(default_factory=Counter)  # by whether it abstained
    correct: Counter[bool] = field(default_factory=Counter)


def live_accuracy(tallies: Iterable["Tally"]) -> list[VersionAccuracy]:
    """Accuracy per version, the latest first.

    Args:
        tallies: Of one model.
    """
    versions: dict[int, _Counts] = {}
    for tally in tallies:
        counts = versions.setdefault(tally.version, _Counts())
        answered = in_one_form(tally.label)
        counts.cells[tally.feedback, answered] += tally.count
        counts.reviewed[tally.abstained] += tally.count
        if tally.feedback == answered:
            counts.correct[tally.abstained] += tally.count
    return [_version(version, versions[version]) for version in sorted(versions, reverse=True)]


def is_correct(label: str, feedback: str) -> bool:
    """Whether an answer is what a person says too."""
    return in_one_form(label) == feedback


def _version(version: int, counts: _Counts) -> VersionAccuracy:
    reviewed, correct = counts.reviewed.total(), counts.correct.total()
    wrong = [(cell, count) for cell, count in counts.cells.items() if cell[0] != cell[1]]
    wrong.sort(key=lambda found: (-found[1], found[0]))
    return VersionAccuracy(
        version=version,
        reviewed=reviewed,
        correct=correct,
        accuracy=Estimate.of(correct / reviewed, intervals.of_share(correct, reviewed)),
        answered=Part.of(counts.correct[False], counts.reviewed[False]),
        abstained=Part.of(counts.correct[True], counts.reviewed[True]),
        classes=_classes(counts.cells),
        confusions=[
            Confusion(label=true, answered=answered, count=count)
            for (true, answered), count in wrong[:_CONFUSIONS]
        ],
    )


def _classes(cells: Mapping[tuple[str, str], int]) -> list[ClassAccuracy]:
    shown: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for (true, answer), count in cells.items():
        shown[true] += count
        answered[answer] += count
    found = []
    for label in sorted(shown | answered):
        correct = cells.get((label, label), 0)
        found.append(
            ClassAccuracy(
                label=label,
                reviewed=shown[label],
                answered=answered[label],
                correct=correct,
                recall=_share(correct, shown[label]),
                precision=_share(correct, answered[label]),
            )
        )
    return found


def _share(part: int, whole: int) -> Estimate | None:
    return Estimate.of(part / whole, intervals.of_share(part, whole)) if whole else None
