"""Pages of results, each along one index.

A page of fifty rows is quick if it walks an index that has the order of the page and begins with
what is asked for most. PostgreSQL knows how often each value is there and finds that index by
itself. SQLite knows no such thing here and guesses, at the worst that a million rows are best
sorted: so it is left only the columns of one index to look up, and the others just to compare.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from viewfinder.shared.ids import first_id
from viewfinder.storage.results.wanted import Wanted
from viewfinder.storage.tables import results

RARE = 2000
"""So many rows are rather sorted than waited for on a walk through all."""

_BEYOND = "g"  # after every id: these are hexadecimal


class _Compared(FunctionElement[Any]):
    """A column that is compared and not looked up."""

    inherit_cache = True


@compiles(_Compared)
def _as_it_is(element: _Compared, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_Compared, "sqlite")
def _under_a_sign(element: _Compared, compiler: SQLCompiler, **options: Any) -> str:
    # https://sqlite.org/optoverview.html: a unary + keeps a term from using an index.
    return "+" + compiler.process(element.clauses, **options)


def page_of(wanted: Wanted, *, rare: bool = False) -> Select[Any]:
    """The rows of a page, and one more if there is one.

    Args:
        wanted: Which.
        rare: Whether few rows have the confidence that is wanted: then they are looked up by it.
    """
    looked_up = _looked_up(wanted, rare=rare)

    def column(name: str) -> ColumnElement[Any]:
        return results.c[name] if name in looked_up else _Compared(results.c[name])

    statement = select(results).limit(wanted.limit + 1)
    if wanted.order == "uncertain":
        confidence = column("confidence")
        statement = statement.order_by(confidence, results.c.id)
        if (after := wanted.after) is not None:
            here = tuple_(confidence, results.c.id)
            statement = statement.where(here > tuple_(after.confidence, after.id))
        return statement.where(*_conditions(wanted, column))
    newest, identifier = wanted.order == "newest", column("id")
    along = None if rare else _along(wanted)
    if along is None:
        statement = statement.where(*_between(wanted, identifier))
        statement = statement.order_by(identifier.desc() if newest else identifier)
        return statement.where(*_others(wanted, column))
    # One value of this column is wanted, and the order says that column too: otherwise PostgreSQL
    # would go back through all ids where it takes the rows to be spread over them evenly, which
    # those of an old version are not.
    first, value = results.c[along], getattr(wanted, along)
    low, high = _ends(wanted)
    here = tuple_(first, identifier)
    statement = statement.where(here > tuple_(value, low), here < tuple_(value, high))
    order = (first.desc(), identifier.desc()) if newest else (first, identifier)
    return statement.order_by(*order).where(*_others(wanted, column, but=along))


def count_of(wanted: Wanted) -> Select[int]:
    """How many there are in all."""
    return (
        select(func.count())
        .select_from(results)
        .where(*_conditions(wanted, lambda name: results.c[name]))
    )


def some_as_sure(wanted: Wanted) -> Select[int]:
    """How many have the confidence that is wanted, counted as far as is of interest."""
    some = select(results.c.id).where(*_confidences(wanted, results.c.confidence)).limit(RARE + 1)
    return select(func.count()).select_from(some.subquery())


def may_be_rare(wanted: Wanted) -> bool:
    """Whether it is worth while to ask how many there are."""
    by_time = wanted.order != "uncertain"
    others = wanted.label is not None or wanted.reviewed is True
    return by_time and not others and bool(_confidences(wanted, results.c.confidence))


def span(wanted: Wanted, identifier: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """The range of ids that is that of the times."""
    found = []
    if wanted.since is not None:
        found.append(identifier >= first_id(wanted.since))
    if wanted.until is not None:
        found.append(identifier < first_id(wanted.until))
    return found


def _looked_up(wanted: Wanted, *, rare: bool) -> set[str]:
    """The columns of the index that the page goes along."""
    if wanted.order == "uncertain":
        return {"confidence"}  # results_by_confidence, in its order
    if rare:
        return {"confidence"}  # the same, and sorted
    if wanted.reviewed:
        # results_tallied, or results_reviewed
        return {"feedback", "id"} | ({"model"} if wanted.model is not None else set())
    if wanted.label is not None:
        return {"label", "id"}  # results_by_label
    return {"model", "version", "id"}  # results_by_version, results_by_model, or that of the ids


def _along(wanted: Wanted) -> str | None:
    """The column before the ids in the index that the page goes along, if there is one."""
    if wanted.reviewed:
        return None  # those are few
    if wanted.label is not None:
        return "label"
    if wanted.version is not None and wanted.model is not None:
        return "version"
    return "model" if wanted.model is not None else None


def _ends(wanted: Wanted) -> tuple[str, str]:
    """Ids between which those of the page are; they are none of them."""
    low = "" if wanted.since is None else first_id(wanted.since)
    high = _BEYOND if wanted.until is None else first_id(wanted.until)
    if (after := wanted.after) is not None:
        return (
            (low, min(high, after.id)) if wanted.order == "newest" else (max(low, after.id), high)
        )
    return low, high


def _between(wanted: Wanted, identifier: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    low, high = _ends(wanted)
    return [identifier > low] * bool(low) + [identifier < high] * (high != _BEYOND)


def _conditions(
    wanted: Wanted, column: Callable[[str], ColumnElement[Any]]
) -> list[ColumnElement[bool]]:
    return span(wanted, column("id")) + _others(wanted, column)


def _others(
    wanted: Wanted, column: Callable[[str], ColumnElement[Any]], *, but: str | None = None
) -> list[ColumnElement[bool]]:
    """All conditions but those on the id, and on one other column."""
    found = _confidences(wanted, column("confidence"))
    for name in ("model", "version", "label"):
        if name != but and (value := getattr(wanted, name)) is not None:
            found.append(column(name) == value)
    if wanted.reviewed is not None:
        feedback = column("feedback")
        found.append(feedback.is_not(None) if wanted.reviewed else feedback.is_(None))
    return found


def _confidences(wanted: Wanted, confidence: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    found = []
    if wanted.min_confidence > 0:
        found.append(confidence >= wanted.min_confidence)
    if wanted.max_confidence < 1:
        found.append(confidence <= wanted.max_confidence)
    return found
