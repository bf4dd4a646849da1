"""The choice among variants, and what is said of it."""

import pytest

from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.ladder import (
    Difference,
    Ladder,
    LeftOut,
    VariantRow,
    choose,
    front,
)
from viewfinder.evaluation.report.ladder_plot import picture
from viewfinder.evaluation.report.ladder_words import verdicts


def _row(
    name: str, ms: float | None, accuracy: float | None, *, size: int = 1000, **more: object
) -> VariantRow:
    known = {"name": name, "bytes": size, "p50_ms": ms, "accuracy": accuracy, **more}
    return VariantRow.model_validate(known)


def _less(points: float, p_value: float = 0.5) -> Difference:
    value = points / 100
    return Difference(
        points=Estimate(value=value, low=value - 0.01, high=value + 0.01), p_value=p_value
    )


def _ladder(*rows: VariantRow, max_drop: float = 0.01, **more: object) -> Ladder:
    known: dict[str, object] = {
        "rows": rows,
        "reference": "float32",
        "recommended": choose(rows, "float32", max_drop),
        "max_drop": max_drop,
        "basis": "accuracy",
        "photos": 400,
        "threads": 2,
        "machine": "a processor",
        **more,
    }
    return Ladder.model_validate(known)


FLOAT32 = _row("float32", 10.0, 0.95, size=4000)


class TestChoice:
    def test_the_quickest_within_the_budget_is_chosen(self) -> None:
        rows = [FLOAT32, _row("int8", 5, 0.941), _row("tiny", 2, 0.9), _row("slow", 20, 0.96)]
        assert choose(rows, "float32", 0.01) == "int8"
        assert choose(rows, "float32", 0.05) == "tiny"
        assert choose(rows, "float32", 0.005) == "float32"

    def test_a_loss_of_exactly_the_budget_is_within_it(self) -> None:
        assert choose([FLOAT32, _row("int8", 5, 0.94)], "float32", 0.01) == "int8"

    def test_what_is_slower_is_not_chosen_however_small(self) -> None:
        assert choose([FLOAT32, _row("dynamic", 24, 0.95, size=1)], "float32", 1.0) == "float32"

    def test_of_those_as_quick_the_smallest_is_chosen(self) -> None:
        rows = [FLOAT32, _row("float16", 10.2, 0.95, size=2000)]
        assert choose(rows, "float32", 0.01) == "float16"
        assert choose([FLOAT32, _row("float16", 10.5, 0.95, size=1)], "float32", 0.01) == "float32"

    def test_without_labels_agreement_bounds_what_can_be_lost(self) -> None:
        base = _row("float32", 10, None, agreement=1.0)
        near, far = (_row(n, 5, None, agreement=a) for n, a in (("near", 0.99), ("far", 0.98)))
        assert choose([base, far], "float32", 0.01) == "float32"
        assert choose([base, far, near], "float32", 0.01) == "near"

    def test_what_nobody_has_judged_is_not_chosen(self) -> None:
        base = _row("float32", 10, None)
        assert choose([base, _row("int8", 1, None)], "float32", 1.0) == "float32"

    def test_what_was_not_timed_is_not_chosen(self) -> None:
        assert choose([FLOAT32, _row("int8", None, 0.99)], "float32", 0.01) == "float32"


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(5.0, 0.9), (10.0, 0.95), (7.0, 0.9), (2.0, 0.7), (12.0, 0.95), (2.0, 0.6)]
    assert front(points) == [(2.0, 0.7), (5.0, 0.9), (10.0, 0.95)]


class TestWords:
    def test_the_choice_comes_first_with_what_it_costs(self) -> None:
        ladder = _ladder(FLOAT32, _row("int8", 5, 0.945, difference=_less(-0.5)))
        (said,) = verdicts(ladder)
        assert said == (
            "int8 is recommended: 2.0 times as quick as float32, 4.0 times smaller, "
            "0.5 points less accurate (-1.5 to +0.5; could be chance, p = 0.5)."
        )

    def test_what_got_slower_is_said_plainly(self) -> None:
        ladder = _ladder(FLOAT32, _row("dynamic", 24, 0.95, difference=_less(0)))
        choice, drawback = verdicts(ladder)
        assert choice.startswith("float32 is recommended: nothing within 1 point of its accuracy ")
        assert drawback == "dynamic: 2.4 times slower than float32."

    def test_times_that_count_as_the_same_are_no_drawback(self) -> None:
        said = verdicts(_ladder(FLOAT32, _row("onnx", 10.3, 0.95), _row("openvino", 10.305, 0.95)))
        assert said[1:] == ["openvino: 1.03 times slower than float32."]

    def test_what_nobody_could_compare_is_not_called_slower(self) -> None:
        (alone,) = verdicts(_ladder(FLOAT32))
        assert alone == "float32 is recommended: there is no other."
        rows = (_row("float32", 10, None), _row("int8", 5, None))
        (unjudged,) = verdicts(_ladder(*rows, basis="nothing", photos=0))
        assert unjudged.endswith("no validation photos to judge the others by.")

    def test_what_got_worse_is_said_plainly(self) -> None:
        ladder = _ladder(FLOAT32, _row("int8", 5, 0.6, difference=_less(-35, 0.0001)))
        assert verdicts(ladder)[1] == (
            "int8: 35.0 points less accurate (-36.0 to -34.0; hardly chance, p < 0.001)."
        )

    def test_zeros_are_said_to_save_bytes_and_not_time(self) -> None:
        whole = FLOAT32.model_copy(update={"compressed_bytes": 3700})
        pruned = _row("pruned", 10.1, 0.95, size=4000, compressed_bytes=1800, difference=_less(0))
        (_, said) = verdicts(_ladder(whole, pruned))
        assert "2.1 times smaller once compressed; it is as quick as float32" in said

    def test_without_labels_it_is_told_how_many_answers_are_the_same(self) -> None:
        base = _row("float32", 10, None, agreement=1.0)
        rows = (base, _row("int8", 5, None, agreement=0.995), _row("x", 4, None, agreement=0.9))
        said = verdicts(_ladder(*rows, basis="agreement"))
        assert said[0].endswith("the same answer on 99.5% of 400 photos.")
        assert said[1] == "x: another answer on 10.0% of the photos."

    def test_what_the_chosen_one_needs_is_said(self) -> None:
        quick = _row("openvino", 5, 0.95, format="openvino", difference=_less(0))
        said = verdicts(_ladder(FLOAT32, quick))
        assert said[1] == "Every machine that serves it needs pip install 'viewfinder[openvino]'."

    def test_what_there_is_not_is_named_with_its_reason(self) -> None:
        ladder = _ladder(FLOAT32, left_out=(LeftOut(name="onnx", why="it is not installed"),))
        assert verdicts(ladder)[-1] == "There is no onnx: it is not installed."


class TestPicture:
    def test_names_do_not_cover_each_other(self) -> None:
        rows = [FLOAT32, *(_row(f"variant-{n}", 10 + 0.1 * n, 0.95) for n in range(6))]
        drawn = picture(_ladder(*rows))
        assert len(drawn.dots) == 7
        boxes = []
        for dot in drawn.dots:
            wide = 6 * len(dot.name)
            boxes.append((dot.text_x - (wide if dot.anchor == "end" else 0), wide, dot.text_y))
        for n, (x, wide, y) in enumerate(boxes):
            for other_x, other_wide, other_y in boxes[n + 1 :]:
                apart = x + wide <= other_x or other_x + other_wide <= x
                assert apart or abs(y - other_y) >= 12

    def test_what_has_collapsed_does_not_press_the_others_together(self) -> None:
        drawn = picture(_ladder(FLOAT32, _row("int8", 5, 0.1), _row("mixed", 6, 0.94)))
        assert drawn.frame is not None
        assert drawn.frame.y_low >= 0.84
        assert {dot.name for dot in drawn.dots} == {"float32", "int8 (10%)", "mixed"}
        assert all(dot.y <= drawn.frame.bottom for dot in drawn.dots)

    def test_a_name_at_the_right_edge_stands_before_its_dot(self) -> None:
        drawn = picture(_ladder(FLOAT32, _row("a-slow-one", 100, 0.95)))
        slow = next(dot for dot in drawn.dots if dot.name == "a-slow-one")
        assert slow.anchor == "end"
        assert slow.text_x < slow.x

    @pytest.mark.parametrize("most", [0.03, 1.0, 14.0, 900.0])
    def test_ticks_are_few_and_round(self, most: float) -> None:
        drawn = picture(_ladder(_row("float32", most, 0.95)))
        assert 3 <= len(drawn.ticks) <= 12
        assert drawn.ticks[0] == 0
        assert f"{drawn.ticks[1]:.0e}"[0] in "125"

    def test_without_times_there_is_no_picture(self) -> None:
        assert picture(_ladder(_row("float32", None, None), basis="nothing")).frame is None
