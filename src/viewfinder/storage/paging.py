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

from viewfinder.storage.tables import results
from viewfinder.storage.wanted import Wanted, first_id

RARE = 2000
"""So many rows are rather sorted than waited for on a walk through all."""


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

    identifier, confidence = column("id"), column("confidence")
    order = {
        "newest": (identifier.desc(),),
        "oldest": (identifier,),
        "uncertain": (confidence, results.c.id),
    }[wanted.order]
    statement = select(results).order_by(*order).limit(wanted.limit + 1)
    if (after := wanted.after) is not None:
        if wanted.order == "uncertain":
            here = tuple_(confidence, results.c.id)
            statement = statement.where(here > tuple_(after.confidence, after.id))
        else:
            newest = wanted.order == "newest"
            statement = statement.where(identifier < after.id if newest else identifier > after.id)
    return statement.where(*_conditions(wanted, column))


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


def _conditions(
    wanted: Wanted, column: Callable[[str], ColumnElement[Any]]
) -> list[ColumnElement[bool]]:
    found = span(wanted, column("id")) + _confidences(wanted, column("confidence"))
    for name in ("model", "version", "label"):
        if (value := getattr(wanted, name)) is not None:
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
