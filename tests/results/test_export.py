"""Reviewed photos as a training folder, on both databases."""

from datetime import timedelta

import pytest
from tests.datasets.sets import write, write_set
from tests.results.making import NOW
from tests.results.reviewing import Reviewed

from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import DatasetError
from viewfinder.results.export import Exported
from viewfinder.results.images import image_key
from viewfinder.storage.results.wanted import Wanted


async def test_each_photo_lies_under_its_label_once(reviewed: Reviewed) -> None:
    cat, dog = await reviewed.add(1, "cat"), await reviewed.add(2, "Löwe und Bär")
    await reviewed.add(3, None)
    await reviewed.add(4, "cat", image=False)
    lost = await reviewed.add(5, "cat")
    reviewed.blobs.delete([image_key(lost)])
    expected = {f"cat/reviewed-{cat}.jpg", f"Löwe und Bär/reviewed-{dog}.jpg"}
    assert await reviewed.export() == Exported(written=2, without_image=2)
    assert reviewed.told[-1] == (4, 4)
    assert reviewed.files() == expected
    assert (reviewed.folder / f"cat/reviewed-{cat}.jpg").read_bytes()[:2] == b"\xff\xd8"
    again = await reviewed.add(6, "cat")
    assert await reviewed.export() == Exported(written=1, present=2, without_image=2)
    assert reviewed.files() == {*expected, f"cat/reviewed-{again}.jpg"}
    assert read_dataset(reviewed.folder).labels == ("Löwe und Bär", "cat")


async def test_photos_of_ones_own_are_left_alone(reviewed: Reviewed) -> None:
    write_set(reviewed.folder, {"cat": 2, "dog": 2})
    own = write(reviewed.folder / "dog" / "reviewed-by-me.jpg", b"mine")
    one = await reviewed.add(1, "cat")
    there = write(reviewed.folder / "cat" / f"reviewed-{one}.jpg", b"edited")
    before = reviewed.files()
    assert await reviewed.export() == Exported(present=1)
    assert reviewed.files() == before
    assert (own.read_bytes(), there.read_bytes()) == (b"mine", b"edited")


async def test_a_photo_whose_label_changes_goes_with_it(reviewed: Reviewed) -> None:
    one, other = await reviewed.add(1, "cat"), await reviewed.add(2, "dog")
    await reviewed.export()
    await reviewed.table.review(one, "dog", now=NOW)
    # Also where its image is stored no more.
    reviewed.blobs.delete([image_key(one)])
    assert await reviewed.export() == Exported(moved=1, present=1)
    assert reviewed.files() == {f"dog/reviewed-{one}.jpg", f"dog/reviewed-{other}.jpg"}
    assert not (reviewed.folder / "cat").exists()  # a class without photos would be refused
    # A copy that somebody has put back is one too many.
    write(reviewed.folder / "cat" / f"reviewed-{one}.jpg", b"old")
    write(reviewed.folder / "cat" / "own.jpg", b"mine")
    assert await reviewed.export() == Exported(present=2)
    assert reviewed.files() == {
        f"dog/reviewed-{one}.jpg", f"dog/reviewed-{other}.jpg", "cat/own.jpg",
    }  # fmt: skip


async def test_only_what_is_wanted_is_written(reviewed: Reviewed) -> None:
    await reviewed.add(1, "cat")
    late = await reviewed.add(3, "cat")
    await reviewed.add(4, "cat", model="other")
    assert await reviewed.export(Wanted(model="fake", since=NOW + timedelta(days=2))) == Exported(
        written=1
    )
    assert reviewed.files() == {f"cat/reviewed-{late}.jpg"}
    assert await reviewed.export(Wanted(model="fake", version=2)) == Exported()


async def test_a_label_that_came_by_another_way_leads_nowhere_else(reviewed: Reviewed) -> None:
    for number, label in enumerate(("../out", "/out", "..", "", ".hidden", "a/..")):
        await reviewed.add(number, label)
    assert await reviewed.export() == Exported(unfit=6)
    assert not reviewed.folder.exists()


async def test_a_folder_of_splits_is_told_apart(reviewed: Reviewed) -> None:
    write_set(reviewed.folder / "train", {"cat": 1})
    await reviewed.add(1, "cat")
    with pytest.raises(DatasetError, match=r"export into .*train"):
        await reviewed.export()
    reviewed.folder = reviewed.folder / "train"
    assert await reviewed.export() == Exported(written=1)
