"""The table of results, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import Select, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.results.making import a_result, result_id

from viewfinder.storage.database import SQLITE, Database
from viewfinder.storage.results import paging
from viewfinder.storage.results.rows import Result, Tally
from viewfinder.storage.results.table import Results
from viewfinder.storage.results.wanted import (
    Order,
    Place,
    Wanted,
    is_result_id,
    read_cursor,
    write_cursor,
)
from viewfinder.storage.tables import job_items, jobs, results
from viewfinder.types import ClassScore

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
ERASED = {"code": "result_not_found", "detail": "This result was erased."}


def _result(number: int = 0, **fields: Any) -> Result:
    """The answer of second `number`."""
    moment = NOW + timedelta(seconds=number)
    seen = {
        "classes": (ClassScore("cat", 3, 0.5), ClassScore("dog", 0, 0.1)),
        "timing": {"decode": 1.5, "queue": 0.0, "infer": 2.0, "total": 3.5},
        "owner": "key:1",
    }
    return a_result(number, moment, **{**seen, **fields})


async def _filled(database: Database, *rows: Result) -> Results:
    table = Results(database)
    await table.add(rows)
    return table


async def _ids(table: Results, wanted: Wanted) -> list[str]:
    """All that are wanted, page by page."""
    return [result.id async for page in table.pages(wanted) for result in page]


async def test_a_result_comes_back_as_it_was_put(database: Database) -> None:
    whole = _result(
        1,
        owner=None,
        job="job",
        stored_bytes=7,
        feedback="dog",
        note="blurred",
        reviewed=NOW,
        reviewer="key:2",
    )
    table = await _filled(database, _result(), whole)
    assert await table.get(whole.id) == whole
    assert await table.get(_result().id) == _result()
    assert await table.get(result_id(NOW, 99)) is None


async def test_pages_have_every_row_once_in_their_order(database: Database) -> None:
    rows = [_result(n, confidence=(0.25, 0.1 + 0.2, 1.0)[n % 3]) for n in range(7)]
    table = await _filled(database, *rows)
    by_time = [row.id for row in rows]
    unsure = [row.id for row in sorted(rows, key=lambda row: (row.confidence, row.id))]
    for limit in (1, 2, 7, 100):
        assert await _ids(table, Wanted(limit=limit)) == by_time[::-1]
        assert await _ids(table, Wanted(limit=limit, order="oldest")) == by_time
        assert await _ids(table, Wanted(limit=limit, order="uncertain")) == unsure


async def test_rows_that_come_between_two_pages_shift_nothing(database: Database) -> None:
    table = await _filled(database, *(_result(n) for n in range(0, 8, 2)))
    first = await table.page(Wanted(limit=2))
    await table.add([_result(9), _result(5)])
    second = await table.page(Wanted(limit=2, after=first.last))
    assert [row.id for row in first.results + second.results] == [
        _result(n).id for n in (6, 4, 2, 0)
    ]
    assert second.last is None


FILTERS = [
    (Wanted(model="fake"), {0, 1, 2, 3}),
    (Wanted(model="fake", version=2), {2, 3}),
    (Wanted(model="none"), set()),
    (Wanted(label="dog"), {1, 3, 4}),
    (Wanted(label="dog", model="fake", version=1), {1}),
    (Wanted(min_confidence=0.4), {4, 5}),
    (Wanted(max_confidence=0.4), {0, 1, 2, 3, 4}),
    (Wanted(min_confidence=0.1, max_confidence=0.3, label="cat"), {2}),
    (Wanted(since=NOW + timedelta(seconds=4)), {4, 5}),
    (Wanted(until=NOW + timedelta(seconds=4)), {0, 1, 2, 3}),
    (Wanted(since=NOW, until=NOW), set()),
    (Wanted(reviewed=True), {1, 5}),
    (Wanted(reviewed=True, model="fake"), {1}),
    (Wanted(reviewed=True, model="fake", version=2), set()),
    (Wanted(reviewed=False), {0, 2, 3, 4}),
    (Wanted(reviewed=False, label="dog", max_confidence=0.35), {3}),
]


async def test_each_filter_leaves_what_it_says_in_every_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        _result(
            n,
            model="other" if n >= 4 else "fake",
            version=1 + n // 2 % 2,
            label="dog" if n in {1, 3, 4} else "cat",
            confidence=n / 10,
            feedback="dog" if n in {1, 5} else None,
        )
        for n in range(6)
    ]
    table = await _filled(database, *rows)
    for rare in (0, 2000):
        monkeypatch.setattr(paging, "RARE", rare)
        for wanted, found in FILTERS:
            for order in get_args(Order):
                ids = await _ids(table, replace(wanted, order=order, limit=2))
                assert ids == [rows[n].id for n in sorted(found, reverse=order == "newest")], wanted
            assert await table.count(wanted) == len(found)


async def test_a_moment_is_met_to_the_millisecond(database: Database) -> None:
    start = datetime(2026, 5, 1, 12, 0, 0, 5000, tzinfo=UTC)
    rows = [
        _result(created=start, id=result_id(start + timedelta(milliseconds=n), n)) for n in range(3)
    ]
    table = await _filled(database, *rows)
    cut = start + timedelta(milliseconds=1)
    assert await _ids(table, Wanted(since=cut)) == [rows[2].id, rows[1].id]
    assert await _ids(table, Wanted(until=cut)) == [rows[0].id]
    late = cut + timedelta(microseconds=1)  # after every id of that millisecond
    assert await _ids(table, Wanted(since=late)) == [rows[2].id]
    earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert len(await _ids(table, Wanted(since=earliest, until=latest))) == 3
    assert await _ids(table, Wanted(since=latest)) == []
    assert await _ids(table, Wanted(until=earliest)) == []


# -- feedback


async def test_feedback_is_set_replaced_and_taken_back(database: Database) -> None:
    table = await _filled(database, _result(), _result(1))
    first = await table.review(_result().id, "dog", now=NOW, note="at the left", reviewer="key:2")
    assert first == _result(feedback="dog", note="at the left", reviewed=NOW, reviewer="key:2")
    later = NOW + timedelta(hours=1)
    second = await table.review(_result().id, "cat", now=later)
    assert second == await table.get(_result().id) == _result(feedback="cat", reviewed=later)
    assert await table.review(_result().id, None, now=later, note="unused") == _result()
    assert await table.get(_result().id) == _result()
    assert await table.get(_result(1).id) == _result(1)


async def test_only_the_owner_of_a_result_changes_it_where_that_is_asked(
    database: Database,
) -> None:
    table = await _filled(database, _result(), _result(1, owner=None))
    for number in (0, 1):
        assert await table.review(_result(number).id, "dog", now=NOW, owner="key:2") is None
    assert await table.count(Wanted(reviewed=True)) == 0
    assert await table.review(_result().id, "dog", now=NOW, owner="key:1") is not None
    assert await table.review(result_id(NOW, 99), "dog", now=NOW) is None


async def test_tallies_count_what_was_reviewed_of_a_model(database: Database) -> None:
    rows = [
        _result(0, feedback="cat"),
        _result(1, feedback="cat"),
        _result(2, feedback="dog"),
        _result(3, feedback="cat", abstained=True),
        _result(4, feedback="cat", version=2),
        _result(5),
        _result(6, feedback="cat", model="other"),
    ]
    table = await _filled(database, *rows)
    assert set(await table.tallies(Wanted(model="fake"))) == {
        Tally(1, "cat", "cat", abstained=False, count=2),
        Tally(1, "cat", "dog", abstained=False, count=1),
        Tally(1, "cat", "cat", abstained=True, count=1),
        Tally(2, "cat", "cat", abstained=False, count=1),
    }
    span = Wanted(model="fake", since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=3))
    assert await table.tallies(span) == (Tally(1, "cat", "dog", abstained=False, count=1),)
    assert await table.has_model("other")
    assert not await table.has_model("another")


# -- erasing


async def _with_job(database: Database, items: Sequence[Result]) -> None:
    """A job that has copies of these results."""
    job = {
        "id": "job", "created": NOW, "model": "fake", "version": 1, "top_k": 5,
        "min_confidence": 0.0, "state": "succeeded", "total": len(items),
        "succeeded": len(items), "failed": 0, "fruitless": 0, "turn": NOW, "inputs": False,
    }  # fmt: skip
    copies = [
        {"job": "job", "position": n, "name": "a.jpg", "result": one.id, "answer": {"class": "cat"}}
        for n, one in enumerate(items)
    ]
    async with database.writing() as connection:
        await connection.execute(jobs.insert().values(job))
        await connection.execute(job_items.insert(), copies)


async def test_what_is_erased_is_gone_from_its_job_too(database: Database) -> None:
    rows = [_result(n) for n in range(3)]
    table = await _filled(database, *rows)
    await _with_job(database, rows)
    unknown = result_id(NOW, 99)
    assert await table.erase([rows[0].id, rows[2].id, unknown], in_place=ERASED) == 2
    assert await _ids(table, Wanted()) == [rows[1].id]
    columns = (job_items.c.position, job_items.c.answer.is_(None), job_items.c.error)
    # `answer` must be a NULL of the database, and no null of JSON.
    bare = text("SELECT count(*) FROM job_items WHERE answer IS NULL")
    async with database.reading() as connection:
        found = (await connection.execute(select(*columns).order_by(columns[0]))).all()
        assert (await connection.execute(bare)).scalar_one() == 2
    assert [row[2] for row in found] == [ERASED, None, ERASED]


async def test_results_are_found_by_the_digest_of_their_image(database: Database) -> None:
    rows = [_result(n, image_sha256="ab" * 32) for n in range(2)]
    table = await _filled(database, *rows, _result(2))
    assert {row.id for row in await table.of_image("ab" * 32)} == {row.id for row in rows}
    assert await table.of_image("cd" * 32) == ()


# -- speed, as far as a plan shows it


ORDERS: tuple[Order, ...] = ("newest", "uncertain")
QUERIES = [
    *(replace(wanted, order=order) for wanted, _ in FILTERS for order in ORDERS),
    Wanted(),
    Wanted(after=Place(result_id(NOW)), order="oldest"),
    Wanted(after=Place(result_id(NOW), 0.5), reviewed=False, order="uncertain"),
]


async def test_no_query_reads_the_whole_table(database: Database) -> None:
    table = Results(database)
    await table.add(
        [
            _result(
                n,
                model=f"m{n % 7}",
                version=n % 3,
                label=f"c{n % 11}",
                confidence=n % 997 / 1000,
                feedback="dog" if n % 100 == 0 else None,
            )
            for n in range(4000)
        ]
    )
    async with database.writing() as connection:
        if connection.dialect.name != SQLITE:
            await connection.execute(text("ANALYZE results"))
            # A table of this size is read as a whole with good reason; a large one is not.
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for wanted in QUERIES:
            await _check_plan(connection, paging.page_of(wanted), sorts=False)
            if paging.may_be_rare(wanted):
                await _check_plan(connection, paging.page_of(wanted, rare=True))
                await _check_plan(connection, paging.some_as_sure(wanted))
        for where in (
            results.c.id == "a",
            results.c.image_sha256 == "b",
            results.c.id.in_(["a", "b"]),
            (results.c.model == "m") & results.c.feedback.is_not(None),
        ):
            await _check_plan(connection, select(results).where(where))
        copies = select(job_items).where(job_items.c.result.in_(["a", "b"]))
        await _check_plan(connection, copies)


async def _check_plan(
    connection: AsyncConnection, asked: Select[Any], *, sorts: bool = True
) -> None:
    """Only indexes are read; and where it need not sort, SQLite does not."""
    written = str(asked.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    is_sqlite = connection.dialect.name == SQLITE
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    rows = await connection.exec_driver_sql(f"{explain} {written}")
    plan = [str(row[-1]) for row in rows]
    for step in plan:
        assert "Seq Scan" not in step, (written, plan)
        assert not step.startswith("SCAN results") or "INDEX" in step, (written, plan)
        assert sorts or "TEMP B-TREE" not in step, (written, plan)


# -- cursors


def test_a_cursor_leads_back_to_its_place() -> None:
    places: list[tuple[Order, Place]] = [
        ("newest", Place(result_id(NOW))),
        ("oldest", Place(result_id(NOW))),
        ("uncertain", Place(result_id(NOW), 0.1 + 0.2)),
        ("uncertain", Place(result_id(NOW), 5e-324)),
    ]
    for order, place in places:
        assert read_cursor(order, write_cursor(order, place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "====", "é", "\0", "a" * 201, "bmV3ZXN0", "AAAA",
        write_cursor("oldest", Place(result_id(NOW))),
        write_cursor("newest", Place(result_id(NOW), 0.5)),
        write_cursor("newest", Place("' OR 1=1")),
        write_cursor("newest", Place(result_id(NOW).upper())),
    ],
)  # fmt: skip
def test_a_broken_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is|it lacks|codec|ASCII"):
        read_cursor("newest", text)
    for confidence in (float("nan"), float("inf")):
        cursor = write_cursor("uncertain", Place(result_id(NOW), confidence))
        with pytest.raises(ValueError, match="finite"):
            read_cursor("uncertain", cursor)


def test_an_id_has_one_form() -> None:
    assert is_result_id(result_id(NOW))
    for wrong in (
        "",
        result_id(NOW)[:-1],
        result_id(NOW).upper(),
        result_id(NOW) + "\n",
        "../" + result_id(NOW),
    ):
        assert not is_result_id(wrong)
