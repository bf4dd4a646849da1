"""An upload in a file without a name."""

from pathlib import Path
from typing import BinaryIO, cast

import pytest

from viewfinder.errors import OverloadedError
from viewfinder.jobs import spool as spool_module
from viewfinder.jobs.spool import Spool


async def test_where_there_is_no_room_that_is_all_one_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = cast("BinaryIO", Path("/dev/full").open("r+b"))
    monkeypatch.setattr(spool_module, "_open", lambda _: full)
    spool = Spool(tmp_path)
    await spool.write(b"the rest of an upload")
    with pytest.raises(OverloadedError):
        await spool.whole()
    spool.close()
    assert full.closed
