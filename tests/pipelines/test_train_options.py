"""Options from Python that make no sense."""

from pathlib import Path
from typing import Any

import pytest

import viewfinder
from viewfinder.errors import InvalidParameterError


@pytest.mark.parametrize(
    "options",
    [{"head": "round"}, {"epochs": 0}, {"budget_s": 0.0}, {"seed": -1}, {"seed": 2**32}],
)
def test_an_option_that_makes_no_sense_is_told_before_any_work(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameterError):
        viewfinder.train(tmp_path / "none", "x", **options)
