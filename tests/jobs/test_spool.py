"""An upload in a file without a name."""

from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path

import pytest

from viewfinder.errors import OverloadedError
from viewfinder.jobs import spool as spool_module
from viewfinder.jobs.spool import Spool


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[BufferedRandom]:
    with Path("/dev/full").open("r+b") as file:
        monkeypatch.setattr(spool_module, "_open", lambda _: file)
        yield file


async def test_where_there_is_no_room_that_is_all_one_hears(
    tmp_path: Path, full: BufferedRandom
) -> None:
    spool = Spool(tmp_path)
    await spool.write(b"the rest of an upload")
    with pytest.raises(OverloadedError):
        await spool.whole()
    spool.close()
    assert full.closed
