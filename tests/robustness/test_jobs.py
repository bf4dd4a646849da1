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

from sqlalchemy import ColumnElement, func, select
from tests.databases import database, settings
from tests.jobs.receiver import receiving
from tests.jobs.working import callbacks_of, items_of, sent
from tests.support import COMMAND, FULL, environment, fake_bundle, in_full

from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.tables import deliveries, jobs

__all__ = ["database", "settings"]

JOBS, IMAGES, KILLS = in_full(40, 1000), 5, in_full(1, 40)
_WITHIN_S = in_full(240, 1800)


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
        # One that has just been started may not listen to signals yet.
        assert processes.running["worker"].wait(30) in {0, -signal.SIGTERM}
    finally:
        for process in processes.running.values():
            process.kill()
            process.wait(30)


async def _until(database: Database, count: int, is_so: ColumnElement[bool]) -> None:
    """Wait until something is so of so many rows."""
    query = select(func.count()).where(is_so)
    while True:
        async with database.reading() as connection:
            if (await connection.execute(query)).scalar_one() >= count:
                return
        await asyncio.sleep(0.02)


async def test_no_job_is_lost_when_a_server_and_a_worker_are_killed(
    database: Database, settings: Settings
) -> None:
    fake_bundle(settings.home / "models", milliseconds=8)
    url = settings.database.url
    with receiving() as receiver:
        sent_jobs = [
            await sent(database, settings, IMAGES, callback_url=receiver.url) for _ in range(JOBS)
        ]
        with _working(
            settings.home,
            DEFAULT_MODEL="fake",
            THREADS=1,
            RECORD="none",
            JOBS__LEASE_S=3,
            CACHE__ENABLED="false",
            WEBHOOKS__ALLOW_PRIVATE="true",
            WEBHOOKS__PORTS=receiver.port,
            **({} if url is None else {"DATABASE__URL": url}),
        ) as processes:
            async with asyncio.timeout(_WITHIN_S):
                await _kill_now_and_then(database, processes)
                await _until(database, JOBS, jobs.c.finished.is_not(None))
                if FULL:  # a call in hand at a kill is repeated after most of a minute
                    await _until(database, JOBS, deliveries.c.finished.is_not(None))
    states = Counter([(await Jobs(database).get(job.id)).state for job in sent_jobs])
    assert states == {"succeeded": JOBS}
    for job in sent_jobs:
        items = await items_of(database, job)
        assert [item.position for item in items] == list(range(IMAGES))
        assert all(item.result and item.answer for item in items)
    assert sorted(await callbacks_of(database)) == sorted(job.id for job in sent_jobs)
    calls = Counter(call.id for call in receiver.calls)
    assert len(calls) <= JOBS
    assert not FULL or len(calls) == JOBS <= calls.total() <= 1.01 * JOBS


async def _kill_now_and_then(database: Database, processes: _Processes) -> None:
    for kill, command in zip(range(KILLS), itertools.cycle(("worker", "serve")), strict=False):
        await _until(database, (kill + 1) * JOBS // (KILLS + 2), jobs.c.finished.is_not(None))
        processes.kill(command)
        processes.start(command)
