"""Which photos are for what."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.datasets.photos import Photo, Split
from viewfinder.datasets.split import assign_splits


def _photos(counts: dict[str, int], split: Split | None = None) -> list[Photo]:
    return [
        Photo(Path(label, f"{number}.jpg"), label, split)
        for label, count in counts.items()
        for number in range(count)
    ]


def _counts(photos: Sequence[Photo], label: str) -> list[int]:
    counted = Counter(photo.split for photo in photos if photo.label == label)
    return [counted["train"], counted["validation"], counted["test"]]


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (1, [1, 0, 0]),
        (2, [1, 1, 0]),
        (3, [1, 1, 1]),
        (10, [8, 1, 1]),
        (100, [80, 10, 10]),
        (1234, [988, 123, 123]),
    ],
)
def test_each_class_is_divided_alike(photos: int, expected: list[int]) -> None:
    given = _photos({"a": photos, "b": 50})
    divided = assign_splits(given, range(len(given)), seed=0)
    assert _counts(divided, "a") == expected
    assert _counts(divided, "b") == [40, 5, 5]
    assert [photo.path for photo in divided] == [photo.path for photo in given]


def test_the_seed_decides_and_the_names_do_not() -> None:
    photos = _photos({"a": 40, "b": 40})
    renamed = [Photo(Path(f"{-i}.jpg"), photo.label) for i, photo in enumerate(photos)]
    groups = range(80)
    chosen = [[p.split for p in assign_splits(photos, groups, seed=s)] for s in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert [photo.split for photo in assign_splits(renamed, groups, seed=0)] == chosen[0]


def test_a_group_with_several_labels_is_in_train() -> None:
    photos = _photos({"a": 30, "b": 30})
    groups = [number % 30 if number % 30 < 10 else number for number in range(60)]
    divided = assign_splits(photos, groups, seed=0)
    assert {divided[i].split for i in range(60) if groups[i] < 10} == {"train"}
    assert _counts(divided, "a") == [24, 3, 3]


def test_large_groups_stay_in_train_where_smaller_ones_do() -> None:
    photos = _photos({"a": 20, "b": 3})
    divided = assign_splits(photos, [0] * 10 + [1, 1, *range(2, 13)], seed=0)
    assert _counts(divided, "a") == [16, 2, 2]


def test_given_splits_are_kept() -> None:
    photos = _photos({"a": 5, "b": 5}, "train") + _photos({"a": 2, "b": 1}, "validation")
    assert assign_splits(photos, range(13), seed=0) == tuple(photos)  # and no test is made up
    photos += _photos({"a": 1, "b": 1}, "test")
    assert assign_splits(photos, range(15), seed=0) == tuple(photos)


def test_validation_comes_from_train_where_only_a_test_is_given() -> None:
    photos = _photos({"a": 100, "b": 1}, "train") + _photos({"a": 7}, "test")
    divided = assign_splits(photos, range(108), seed=0)
    assert _counts(divided, "a") == [88, 12, 7]
    assert _counts(divided, "b") == [1, 0, 0]
    assert divided[-7:] == tuple(photos[-7:])


def test_train_alone_says_nothing() -> None:
    photos = _photos({"a": 10, "b": 10}, "train")
    assert _counts(assign_splits(photos, range(20), seed=0), "a") == [8, 1, 1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(0, 30), st.sampled_from([None, "train", "test"])
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 5),
    st.booleans(),
)
def test_no_group_is_in_two_of_our_splits_and_each_class_is_learned(
    drawn: list[tuple[str, int, Split | None]], seed: int, is_split: bool
) -> None:
    photos = [
        Photo(Path(f"{i}.jpg"), label, (split or "train") if is_split else None)
        for i, (label, _, split) in enumerate(drawn)
    ]
    groups = [number for _, number, _ in drawn]
    divided = assign_splits(photos, groups, seed=seed)
    splits = defaultdict(set)
    labels = defaultdict(set)
    for before, photo, number in zip(photos, divided, groups, strict=True):
        assert photo.split is not None
        if before.split == "test":
            assert photo.split == "test"
        else:
            splits[number].add(photo.split)
            labels[photo.label].add(number)
    assert all(len(found) == 1 for found in splits.values())
    for label, numbers in labels.items():
        found = {
            p.split
            for p, b in zip(divided, photos, strict=True)
            if b.split != "test" and p.label == label
        }
        assert "train" in found
        clean = sum(
            all(n not in of for other, of in labels.items() if other != label) for n in numbers
        )
        if clean >= 3 and "test" not in {photo.split for photo in photos}:
            assert found == {"train", "validation", "test"}
