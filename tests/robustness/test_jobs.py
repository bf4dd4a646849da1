"""Jobs survive `kill -9` of those who work on them: none is lost, and nobody is called twice."""

import asyncio
import itertools
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from tests.jobs.working import callbacks_of, items_of, sent
from tests.storage.conftest import database, postgres, settings
from tests.support import COMMAND, environment, fake_bundle, in_full

from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs import Job, Jobs
from viewfinder.storage.tables import jobs

__all__ = ["database", "postgres", "settings"]

JOBS, IMAGES, KILLS = in_full(40, 1000), 5, in_full(1, 40)
_WITHIN_S = in_full(100, 1800)


@dataclass
class _Processes:
    """A server and a worker, which die and are started again.

    Attributes:
        home: Of both.
        given: Settings of both.
        running: By command.
    """

    home: Path
    given: dict[str, object]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, command: str) -> None:
        """Start one of them."""
        with (self.home / f"{command}.log").open("ab") as log:
            self.running[command] = subprocess.Popen(
                [COMMAND, command, *(("--port", "0") if command == "serve" else ())],
                env=environment(self.home, **self.given),
                stderr=log,
            )

    def kill(self, command: str) -> None:
        """End one of them where it stands."""
        process = self.running.pop(command)
        assert process.poll() is None
        process.kill()
        process.wait(30)


@contextmanager
def _working(home: Path, **given: object) -> Iterator[_Processes]:
    processes = _Processes(home, given)
    try:
        for command in ("serve", "worker"):
            processes.start(command)
        yield processes
        processes.running["worker"].send_signal(signal.SIGTERM)
        assert processes.running["worker"].wait(30) == 0
    finally:
        for process in processes.running.values():
            process.kill()
            process.wait(30)


async def _finished(database: Database) -> int:
    async with database.reading() as connection:
        query = select(func.count()).select_from(jobs).where(jobs.c.finished.is_not(None))
        return (await connection.execute(query)).scalar_one()


async def _until_finished(database: Database, count: int) -> None:
    while True:
        if await _finished(database) >= count:
            return
        await asyncio.sleep(0.02)


async def test_no_job_is_lost_when_a_server_and_a_worker_are_killed(
    database: Database, settings: Settings
) -> None:
    fake_bundle(settings.home / "models", milliseconds=8)
    url = settings.database.url
    sent_jobs: list[Job] = [await sent(database, settings, IMAGES) for _ in range(JOBS)]
    with _working(
        settings.home,
        DEFAULT_MODEL="fake",
        THREADS=1,
        RECORD="none",
        JOBS__LEASE_S=1,
        CACHE__ENABLED="false",
        **({} if url is None else {"DATABASE__URL": url}),
    ) as processes:
        async with asyncio.timeout(_WITHIN_S):
            for kill, command in zip(range(KILLS), itertools.cycle(("worker", "serve"))):
                await _until_finished(database, (kill + 1) * JOBS // (KILLS + 2))
                processes.kill(command)
                processes.start(command)
            await _until_finished(database, JOBS)
    states = Counter([(await Jobs(database).get(job.id)).state for job in sent_jobs])
    assert states == {"succeeded": JOBS}
    for job in sent_jobs:
        items = await items_of(database, job)
        assert [item.position for item in items] == list(range(IMAGES))
        assert all(item.result and item.answer for item in items)
    assert sorted(await callbacks_of(database)) == sorted(job.id for job in sent_jobs)
