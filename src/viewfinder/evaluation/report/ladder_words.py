"""A ladder in plain words: the same in the terminal and in the report."""

from viewfinder.evaluation.ladder import (
    ALIKE,
    Difference,
    Ladder,
    VariantRow,
    loses_too_much,
)
from viewfinder.evaluation.report.verdict import p_value
from viewfinder.evaluation.significance import SIGNIFICANT

_EXTRAS = {"onnx": "onnx", "openvino": "openvino", "saved_model": "tensorflow"}
_FINE = 1.2
_POINT = 0.01
# Trained weights hardly compress: 93 bytes of 100 remain.
_SPARSE = 0.75


def verdicts(ladder: Ladder) -> list[str]:
    """What came of it, in plain words: the choice first, then what got slower or worse."""
    base, best = ladder.row(ladder.reference), ladder.row(ladder.recommended)
    others = [row for row in ladder.rows if row is not base and row is not best]
    said = [_choice(ladder, base, best)]
    if best.format in _EXTRAS:
        said.append(
            f"Every machine that serves it needs pip install 'viewfinder[{_EXTRAS[best.format]}]'."
        )
    said += [text for row in others if (text := _drawback(row, base, ladder.max_drop))]
    said += [text for row in ladder.rows if (text := _zeros(row, base))]
    said += ladder.notes
    said += [f"There is no {one.name}: {one.why}." for one in ladder.left_out]
    return said


def _choice(ladder: Ladder, base: VariantRow, best: VariantRow) -> str:
    allowed = f"{_points(ladder.max_drop)} of its {_kind(ladder)}"
    if best is base:
        return f"{base.name} is recommended: {_why_it_stays(ladder, allowed)}."
    parts = [_speed(best, base), _size(best, base)]
    if best.difference is not None:
        parts.append(_loss(best.difference))
    elif best.agreement is not None:
        parts.append(f"the same answer on {100 * best.agreement:.1f}% of {ladder.photos:,} photos")
    return f"{best.name} is recommended: {', '.join(part for part in parts if part)}."


def _why_it_stays(ladder: Ladder, allowed: str) -> str:
    if len(ladder.rows) == 1:
        return "there is no other"
    if ladder.basis == "nothing":
        return "there are no validation photos to judge the others by"
    return f"nothing within {allowed} is quicker on this machine"


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == _POINT else 's'}"


def _kind(ladder: Ladder) -> str:
    return "accuracy" if ladder.basis == "accuracy" else "answers"


def _drawback(row: VariantRow, base: VariantRow, max_drop: float) -> str:
    bad = []
    if (
        row.p50_ms is not None
        and base.p50_ms is not None
        and row.p50_ms > base.p50_ms * (1 + ALIKE)
    ):
        bad.append(_speed(row, base))
    if loses_too_much(row, base, max_drop):
        if row.difference is not None:
            bad.append(_loss(row.difference))
        elif row.agreement is not None:
            bad.append(f"another answer on {100 * (1 - row.agreement):.1f}% of the photos")
    return f"{row.name}: {', '.join(bad)}." if bad else ""


def _zeros(row: VariantRow, base: VariantRow) -> str:
    """Zeros save bytes, not time; who expects otherwise should read it here."""
    small, whole = row.compressed_bytes, base.compressed_bytes
    is_sparse = small is not None and row.bytes > 0 and small < _SPARSE * row.bytes
    if row is base or not is_sparse or small is None or whole is None or row.bytes < base.bytes:
        return ""
    return (
        f"{row.name}: its zeros make it {whole / small:.1f} times smaller once compressed; it is "
        f"{_speed(row, base)}: a dense kernel multiplies by zero as by any other number."
    )


def _speed(row: VariantRow, base: VariantRow) -> str:
    if row.p50_ms is None or base.p50_ms is None:
        return ""
    ratio = base.p50_ms / row.p50_ms
    if max(ratio, 1 / ratio) <= 1 + ALIKE:
        return f"as quick as {base.name}"
    if ratio > 1:
        return f"{_times(ratio)} as quick as {base.name}"
    return f"{_times(1 / ratio)} slower than {base.name}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < _FINE else f"{ratio:.1f} times"


def _size(row: VariantRow, base: VariantRow) -> str:
    ratio = base.bytes / row.bytes
    return f"{_times(ratio)} smaller" if ratio > 1 + ALIKE else ""


def _loss(difference: Difference) -> str:
    points = difference.points
    value, low, high = (100 * number for number in (points.value, points.low, points.high))
    if value == 0:
        return f"as accurate ({low:+.1f} to {high:+.1f} points)"
    rather = "more" if value > 0 else "less"
    chance = "hardly chance" if difference.p_value < SIGNIFICANT else "could be chance"
    p = p_value(difference.p_value)
    return f"{abs(value):.1f} points {rather} accurate ({low:+.1f} to {high:+.1f}; {chance}, {p})"
