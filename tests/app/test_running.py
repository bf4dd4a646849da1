"""The parts of a process: one that fails keeps no other from its end."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import fake_bundle

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.jobs.orphans import OrphanSweeper
from viewfinder.settings import Settings


class _Stubborn(OrphanSweeper):
    """Begins and ends as it is told."""

    fails_to_start = fails_to_close = False

    def start(self) -> None:
        if self.fails_to_start:
            raise RuntimeError("it does not start")
        super().start()

    async def close(self) -> None:
        await super().close()
        if self.fails_to_close:
            raise RuntimeError("it does not close")


def _services(home: Path) -> tuple[Services, _Stubborn]:
    fake_bundle(home / "models")
    services = build_services(Settings(home=home, default_model="fake", threads=1), lasting=True)
    part = _Stubborn(services.settings, services.blobs, services.database)
    return replace(services, orphans=part), part


async def test_where_one_part_cannot_start_the_others_end(tmp_path: Path) -> None:
    services, part = _services(tmp_path)
    part.fails_to_start = True
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="does not start"):
        async with running(services):
            raise AssertionError("it has not started")
    assert asyncio.all_tasks() == before
    assert services.devices.cpu.threads == 0


async def test_where_one_part_cannot_end_the_others_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services, part = _services(tmp_path)
    part.fails_to_close = True
    before = asyncio.all_tasks()
    async with running(services):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before
    assert "_Stubborn did not end well" in caplog.text
    assert "it does not close" in caplog.text
