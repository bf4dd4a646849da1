"""References to models, as people write them."""

import pytest

from viewfinder.types import ModelRef, is_model_name, parse_version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shoes", ModelRef("shoes")),
        ("shoes@3", ModelRef("shoes", version=3)),
        ("shoes@stable", ModelRef("shoes", alias="stable")),
        ("a.b-c_1@0", ModelRef("a.b-c_1", alias="0")),
    ],
)
def test_a_reference_is_read(text: str, expected: ModelRef) -> None:
    assert ModelRef.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "@3", "shoes@", "Shoes", "../etc", "a/b", "a@b@c", "-x", "x" * 65, "sh oes", "a\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not name"):
        ModelRef.parse(text)


def test_names_have_1_to_64_characters() -> None:
    assert is_model_name("x" * 64)
    assert not is_model_name("x" * 65)


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("0", None), ("01", None), ("x", None)])
def test_versions_are_positive_numbers(text: str, expected: int | None) -> None:
    assert parse_version(text) == expected
