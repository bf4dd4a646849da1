"""Results: pages, single ones and counts of a million rows, beside those of ten thousand.

python -m benchmarks.results [--quick] [--rows N] [--database postgresql://...]
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, String, bindparam, func, select, text

from benchmarks.harness import Figure, median, parse, parser, save
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.shared.ids import first_id
from viewfinder.storage.database import SQLITE, Database
from viewfinder.storage.results.rows import Result
from viewfinder.storage.results.table import Results
from viewfinder.storage.results.wanted import Place, Wanted
from viewfinder.storage.schema import open_database, upgrade
from viewfinder.storage.tables import results
from viewfinder.types import ClassScore

_SMALL = 10_000
_CHUNK, _BLOCKS = 1_000, 100
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=90)
_CLASSES = 200
_UNSURE, _NOW_AND_THEN = 0.4, 0.005
_ERASED = {"code": "result_not_found"}


@dataclass(frozen=True, slots=True)
class Table:
    """A filled table.

    Attributes:
        results: Its queries.
        rows: How many there are.
        ids: Some of these, in no order.
        digests: Of the images of some.
    """

    results: Results
    rows: int
    ids: list[str]
    digests: list[str]


def _some(rows: int, chance: np.random.Generator) -> list[Result]:
    """Results as a service has them: a model that answers most, an old one, a rare one."""
    names = chance.choice(["shoes", "clothes", "rare"], rows, p=[0.9, 0.0999, 0.0001])
    confidences = np.minimum(1.0, 0.02 + chance.beta(5, 1, rows))
    places = np.minimum(chance.exponential(25, rows), _CLASSES - 1).astype(int)
    # The queue of who reviews: the least sure first, and now and then another.
    reviewed = (confidences < _UNSURE / 2) | (chance.random(rows) < _NOW_AND_THEN)
    found = []
    for number, (name, place) in enumerate(zip(names, places.tolist(), strict=True)):
        digits = chance.bytes(32).hex()
        result = Result(
            id=f"{first_id(_BEGIN)}-7{digits[:3]}-8{digits[3:6]}-{digits[6:18]}",
            created=_BEGIN,
            model=str(name),
            version=1,
            variant="int8",
            label=f"class-{place}",
            confidence=float(confidences[number]),
            classes=tuple(ClassScore(f"class-{place + n}", place + n, 0.1) for n in range(5)),
            abstained=bool(confidences[number] < _UNSURE),
            cached=False,
            timing={"decode": 2.1, "queue": 0.1, "infer": 6.0, "total": 8.4},
            owner=None,
            job=None,
            image_sha256=digits,
            image_bytes=100_000,
            feedback=f"class-{(place + number % 2) % _CLASSES}" if reviewed[number] else None,
            reviewed=_BEGIN if reviewed[number] else None,
        )
        found.append(result)
    return found


def _joined(head: ColumnElement[str], rest: ColumnElement[str]) -> ColumnElement[str]:
    return head.concat(rest)


async def _fill(database: Database, rows: int) -> Table:
    """A hundredth is made here, and that a hundred times as old by the database itself."""
    table, chance = Results(database), np.random.default_rng(rows)
    began, made = time.monotonic(), _some(rows // _BLOCKS, chance)
    for start in range(0, len(made), _CHUNK):
        await table.add(made[start : start + _CHUNK])
    taken = {
        "id": _joined(bindparam("moment", type_=String), func.substr(results.c.id, 14)),
        "version": bindparam("answering", type_=results.c.version.type),
        "image_sha256": _joined(
            bindparam("digits", type_=String), func.substr(results.c.image_sha256, 3)
        ),
    }
    columns = [taken.get(column.name, column) for column in results.c]
    first = select(*columns).where(results.c.id < first_id(_BEGIN + timedelta(seconds=1)))
    for block in range(1, _BLOCKS):
        values = {
            "moment": first_id(_BEGIN + _SPAN * block / _BLOCKS),
            "answering": 1 + 4 * block // _BLOCKS,
            "digits": f"{block:02x}",
        }
        copy = results.insert().from_select([column.name for column in results.c], first)
        async with database.writing() as connection:
            await connection.execute(copy, values)
    print(f"{rows:,} rows written in {time.monotonic() - began:.0f} s", flush=True)
    async with database.writing() as connection:
        if connection.dialect.name != SQLITE:
            await connection.execute(text("ANALYZE results"))  # as its autovacuum does
    order = chance.permutation(len(made))
    digests = [f"01{made[number].image_sha256[2:]}" for number in order]
    return Table(table, rows, [made[number].id for number in order], digests)


def _pages() -> dict[str, Wanted]:
    """A page of fifty for every filter and order that docs/results.md names."""
    deep = Place(f"{first_id(_BEGIN + _SPAN / 2)}-7000-8000-000000000000")
    return {
        "newest": Wanted(),
        "oldest": Wanted(order="oldest"),
        "deep cursor": Wanted(after=deep),
        "model": Wanted(model="clothes"),
        "model, rare": Wanted(model="rare"),
        "model@version, old": Wanted(model="shoes", version=1),
        "class": Wanted(label="class-3"),
        "class and model": Wanted(label="class-3", model="clothes"),
        "min_confidence": Wanted(min_confidence=0.9),
        "max_confidence": Wanted(max_confidence=0.5),
        "max_confidence, rare": Wanted(max_confidence=0.1),
        "since and until": Wanted(since=_BEGIN + _SPAN * 0.4, until=_BEGIN + _SPAN * 0.5),
        "reviewed": Wanted(reviewed=True),
        "reviewed, of a model": Wanted(reviewed=True, model="clothes"),
        "not reviewed": Wanted(reviewed=False),
        "uncertain": Wanted(order="uncertain"),
        "uncertain, not reviewed": Wanted(order="uncertain", reviewed=False),
        "uncertain, of a model": Wanted(order="uncertain", reviewed=False, model="clothes"),
        "uncertain, of a class": Wanted(order="uncertain", reviewed=False, label="class-3"),
    }


def _asked() -> dict[str, Callable[[Table], Awaitable[Any]]]:
    """Everything that is measured."""

    def page(wanted: Wanted) -> Callable[[Table], Awaitable[Any]]:
        return lambda table: table.results.page(wanted)

    now = datetime.now(UTC)
    asked = {f"page: {name}": page(wanted) for name, wanted in _pages().items()}
    return asked | {
        "one": lambda table: table.results.get(table.ids[0]),
        "feedback": lambda table: table.results.review(table.ids[1], "class-1", now=now),
        "erase one": lambda table: table.results.erase([table.ids.pop()], in_place=_ERASED),
        "find by image": lambda table: table.results.of_image(table.digests.pop()),
        "live accuracy": lambda table: table.results.tallies(Wanted(model="shoes")),
        "live accuracy, ten days": lambda table: table.results.tallies(
            Wanted(model="shoes", since=_BEGIN + timedelta(days=30), until=_BEGIN + timedelta(40))
        ),
    }


async def _measure(large: Table, small: Table, times: int) -> list[Figure]:
    figures = []
    print(f"\n{'ms, the median':36}{small.rows:>12,}{large.rows:>12,}{'ratio':>8}")
    for name, ask in _asked().items():
        taken: dict[int, list[float]] = {large.rows: [], small.rows: []}
        tries = min(times, 8) if "erase" in name or "image" in name else times
        for _ in range(tries):
            for table in (small, large):  # in turn: the machine is noisy
                began = time.perf_counter()
                await ask(table)
                taken[table.rows].append(1000 * (time.perf_counter() - began))
        middle, reference = median(taken[large.rows]), median(taken[small.rows])
        ratio = middle / reference
        print(f"{name:36}{reference:12.2f}{middle:12.2f}{ratio:8.1f}", flush=True)
        figures.append(Figure(f"{name}, ms", middle))
        figures.append(Figure(f"{name}, times that of {small.rows:,} rows", ratio))
    return figures


@asynccontextmanager
async def _opened(url: str | None) -> AsyncIterator[Database]:
    """The database that is given, or one of its own on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), database=DatabaseSettings(url=url))
        await asyncio.to_thread(upgrade, settings)
        database = await open_database(settings)
        try:
            yield database
        finally:
            await database.close()


async def _run(rows: int, times: int, urls: tuple[str | None, str | None]) -> list[Figure]:
    async with AsyncExitStack() as stack:
        tables = []
        for url, size in zip(urls, (_SMALL, rows), strict=True):
            database = await stack.enter_async_context(_opened(url))
            async with database.reading() as connection:
                if (await connection.execute(select(results.c.id).limit(1))).first() is not None:
                    raise SystemExit("the database has results already: give an empty one")
            tables.append(await _fill(database, size))
        return await _measure(tables[1], tables[0], times)


def main() -> None:
    """Fill two tables, and ask both the same."""
    made = parser(__doc__, rows=(1_000_000, 50_000), times=(31, 5))
    made.add_argument("--database", help="an empty PostgreSQL database in place of SQLite")
    made.add_argument("--small-database", help="another, for the ten thousand rows")
    given = parse(made)
    figures = asyncio.run(_run(given.rows, given.times, (given.small_database, given.database)))
    kind = "postgresql" if given.database else "sqlite"
    save(f"results-{kind}", figures, rows=given.rows)


if __name__ == "__main__":
    main()
