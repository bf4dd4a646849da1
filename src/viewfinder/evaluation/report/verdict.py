"""What was found, in plain words: the same in the terminal and in the report."""

from viewfinder.evaluation.document import Comparison, Evaluation, SplitEvaluation
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.significance import SIGNIFICANT

_ENOUGH_TO_JUDGE = 100
_FINE_ENOUGH = 1000  # photos from which on a tenth of a percent means something
_NEAR = 0.03
_WHOLE = 100
_UNKNOWN = '"I don\'t know"'


def percent(share: float | None, photos: int = 0) -> str:
    """A share as people read it; 100% and 0% only where it is exactly that.

    Args:
        share: 0-1, or None.
        photos: Of how many; many earn a digit after the point.
    """
    if share is None:
        return "-"
    digits = 1 if photos >= _FINE_ENOUGH else 0
    step = 10.0**-digits
    shown = round(share * _WHOLE, digits)
    if shown >= _WHOLE and share < 1:
        return f">{_WHOLE - step:.{digits}f}%"
    if shown <= 0 and share > 0:
        return f"<{step:.{digits}f}%"
    return f"{shown:.{digits}f}%"


def within(estimate: Estimate, photos: int = 0) -> str:
    """The interval of a share: `89-94%`."""
    low, high = percent(estimate.low, photos), percent(estimate.high, photos)
    return f"{low.removesuffix('%')}\N{EN DASH}{high}"


def count(number: int, thing: str = "photo") -> str:
    """`1 photo`, `2,000 photos`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def headline(evaluation: Evaluation) -> str:
    """How often it is right."""
    result = evaluation.result
    photos = result.photos
    right = percent(result.accuracy.value, photos)
    return f"Right on {right} of {_of_which(evaluation)} ({within(result.accuracy, photos)})"


def sentences(evaluation: Evaluation) -> list[str]:
    """What it confuses, how sure it is, and what it does not answer."""
    result = evaluation.result
    said = [_confuses(result), _sureness(result), _abstains(result)]
    return [sentence for sentence in said if sentence]


def told_apart(one: Evaluation, other: Evaluation) -> tuple[str, str]:
    """What two evaluations are called side by side: the variants too, if they are of one model."""
    if one.model != other.model:
        return one.model, other.model
    return f"{one.model} {one.variant}", f"{other.model} {other.variant}"


def compared(comparison: Comparison, other: str) -> str:
    """Whether the one model is better than the other, or was only lucky.

    Args:
        comparison: The two.
        other: What the other is called.
    """
    more = comparison.only_second - comparison.only_first
    if more == 0:
        return f"As many photos are right as with {other}."
    rather = "more" if more > 0 else "fewer"
    verb = "is" if abs(more) == 1 else "are"
    change = f"{count(abs(more))} {rather} {verb} right than with {other}"
    p = p_value(comparison.p_value)
    if comparison.p_value < SIGNIFICANT:
        return f"{change}; that is hardly chance ({p})."
    return f"{change}; the difference could be chance ({p})."


def p_value(p: float) -> str:
    """`p = 0.21`, or `p < 0.001`."""
    least = 0.001
    return f"p < {least}" if p < least else f"p = {p:.2g}"


def _of_which(evaluation: Evaluation) -> str:
    photos = evaluation.result.photos
    match evaluation.main:
        case "test":
            if evaluation.unseen:
                return f"{count(photos)} it has never seen"
            return count(photos, "test photo")
        case "validation":
            return count(photos, "validation photo")
        case "train":
            return count(photos, "training photo")
        case _:
            return count(photos)


def _confuses(result: SplitEvaluation) -> str:
    if not result.confused:
        return "It made no mistake."
    first = result.confused[0]
    of = next(one.support for one in result.classes if one.label == first.label)
    return (
        f"Most often confused: {first.label} taken for {first.answer} "
        f"({first.photos:,} of {count(of)})."
    )


def _sureness(result: SplitEvaluation) -> str:
    if result.photos < _ENOUGH_TO_JUDGE:
        return "These are too few photos to judge its confidence by."
    gap = result.mean_confidence - result.accuracy.value
    sure = f"{percent(result.mean_confidence)} sure on average"
    right = f"right on {percent(result.accuracy.value)}"
    if result.ece <= _NEAR or abs(gap) <= _NEAR / 2:
        return (
            f"Its confidence is off by {result.ece * _WHOLE:.1f} points on average "
            f"({sure}, {right})."
        )
    return f"It is {'surer' if gap > 0 else 'less sure'} than it should be: {sure}, {right}."


def _abstains(result: SplitEvaluation) -> str:
    photos = result.photos
    if result.abstain_below is not None:
        silent = percent(1 - result.coverage, photos)
        if result.accuracy_answered is None:
            return f"It says {_UNKNOWN} on {silent}."
        return (
            f"It says {_UNKNOWN} on {silent}, and is right on "
            f"{percent(result.accuracy_answered.value, photos)} of the rest."
        )
    if (could := result.suggested_abstain) is not None:
        return (
            f"It always answers. If it said {_UNKNOWN} when under {percent(could.threshold)} sure, "
            f"it would be silent on {percent(1 - could.coverage, photos)} and right on "
            f"{percent(could.accuracy, photos)} of the rest."
        )
    return ""
