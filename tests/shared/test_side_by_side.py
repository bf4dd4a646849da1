"""`side_by_side`: several at a time, answered in their order, and never many in hand."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from viewfinder.errors import MalformedRequestError
from viewfinder.shared.side_by_side import side_by_side


def test_they_are_answered_in_their_order_while_as_many_are_worked_on_as_there_are_threads() -> (
    None
):
    all_at_work = threading.Barrier(4)

    def square(number: int) -> int:
        all_at_work.wait(60)
        return number * number

    assert list(side_by_side(square, range(16), threads=4)) == [n * n for n in range(16)]


def test_no_more_than_two_a_thread_are_in_hand() -> None:
    taken, most = 0, 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    answers = side_by_side(lambda number: number, numbers(), threads=3)
    assert taken == 0
    for answered, _ in enumerate(answers):
        most = max(most, taken - answered)
    assert most == 6


def _shaky(number: int) -> int:
    if number == 1:
        raise MalformedRequestError("No one.")
    if number == 2:
        raise FileNotFoundError("nowhere.jpg")
    if number == 3:
        raise ZeroDivisionError
    return number


def test_a_failure_ends_it_all_or_takes_the_place_of_the_answer() -> None:
    with pytest.raises(MalformedRequestError):
        list(side_by_side(_shaky, range(3), threads=2))
    found: list[Any] = list(side_by_side(_shaky, [0, 1, 2, 4], threads=2, on_error="return"))
    assert [type(one) for one in found] == [int, MalformedRequestError, FileNotFoundError, int]


def test_what_is_no_failure_ends_it_in_any_case() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(_shaky, [0, 3], threads=2, on_error="return"))
