"""`viewfinder data export`, run as a person runs it."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.results.making import NOW, a_result
from tests.support import run_command

from viewfinder.blobs.store import open_blobs
from viewfinder.results.images import image_key
from viewfinder.settings import Settings
from viewfinder.storage.results.table import Results
from viewfinder.storage.schema import open_database


def _fill(home: Path) -> None:
    """Two reviewed results, one of them with an image."""
    rows = [
        a_result(
            number,
            image_sha256="",
            image_bytes=1,
            stored_bytes=stored,
            feedback="dog",
            reviewed=NOW,
        )
        for number, stored in enumerate((1, None))
    ]
    open_blobs(Settings(home=home)).put(image_key(rows[0].id), b"jpeg")

    async def add() -> None:
        database = await open_database(Settings(home=home))
        await Results(database).add(rows)
        await database.close()

    asyncio.run(add())


def test_reviewed_photos_are_written_and_the_rest_is_said(tmp_path: Path) -> None:
    _fill(tmp_path)
    command = ("data", "export", tmp_path / "out", "--reviewed")
    first = run_command(*command, "--model", "fake@1", "--since", "2026-05-01", home=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("1 written to ")
    assert "1 have no stored image" in first.stderr
    assert "VIEWFINDER_RECORD=images" in first.stderr
    (written,) = (tmp_path / "out").rglob("*.jpg")
    assert written.parent.name == "dog"
    second = run_command(*command, "--json", home=tmp_path)
    assert json.loads(second.stdout) == {
        "written": 0,
        "moved": 0,
        "present": 1,
        "without_image": 1,
        "unfit": 0,
    }


@pytest.mark.parametrize(
    "options",
    [
        (), ("--reviewed", "--since", "yesterday"), ("--reviewed", "--since", "20260501"),
        ("--reviewed", "--model", "fake@stable"), ("--reviewed", "--model", "../x"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_in_one_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run_command("data", "export", tmp_path / "out", *options, home=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
