"""Engines that other packages bring: see docs/decisions/0030-custom-engines.md.

A package offers one under the entry point group `viewfinder.engines`:

    [project.entry-points."viewfinder.engines"]
    colours = "my_package.engine"

The name is what a manifest asks for, the module has `load(path, options)` as `EngineModule` says.
Nothing is imported before a model that needs it is loaded.
"""

import contextlib
import logging
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any, cast

from viewfinder.engines.apart.process import answer_apart, run_apart
from viewfinder.engines.base import EngineModule
from viewfinder.errors import EngineError, MissingEngineError, OperatorError

GROUP = "viewfinder.engines"
_FAILURES = (Exception, SystemExit)  # a plug-in does not end the server

logger = logging.getLogger(__name__)


def offered() -> list[EntryPoint]:
    """What the installed packages offer, by name; also what cannot be used. Nothing is imported."""
    points = metadata.entry_points(group=GROUP)
    return sorted(points, key=lambda point: (point.name, package(point)))


def package(point: EntryPoint) -> str:
    """Which package offers it, as `name release`."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "?"


def find(engine: str) -> EntryPoint:
    """The one offer of an engine. Nothing is imported.

    Raises:
        EngineError: Several packages offer it.
        MissingEngineError: None does.
    """
    points = [point for point in offered() if point.name == engine]
    if not points:
        raise MissingEngineError(engine)
    if len(points) > 1:
        packages = " and ".join(package(point) for point in points)
        raise EngineError(f"the engine '{engine}' is brought by {packages}: uninstall all but one")
    return points[0]


def import_engine(engine: str) -> EngineModule:
    """The module of an engine, imported.

    Raises:
        EngineError: It cannot be imported, or is none.
        MissingEngineError: No package offers it.
    """
    point = find(engine)
    with blaming(point, "cannot be imported"):
        module = point.load()
    if not callable(getattr(module, "load", None)):
        raise EngineError(f"{_called(point)} is no engine: it has no load(path, options)")
    return cast("EngineModule", module)


@contextlib.contextmanager
def blaming(point: EntryPoint, what: str) -> Iterator[None]:
    """Whatever a plug-in raises becomes an error that names it, and nothing worse.

    Args:
        point: The plug-in.
        what: What has become of it then.

    Raises:
        EngineError: It raised something that is not meant for people.
    """
    try:
        yield
    except OperatorError:
        raise
    except _FAILURES as error:
        # The reason of a failed version is told over HTTP: the text is for the log alone.
        logger.exception("%s %s", _called(point), what)
        raise EngineError(f"{_called(point)} {what} ({type(error).__name__})") from error


def try_import(engine: str) -> str | None:
    """Import an engine in a process of its own, which it may crash.

    Returns:
        What is wrong with it, with the text of what it raised, if anything is.
    """
    try:
        problem: str | None = run_apart(__name__, {"engine": engine})["problem"]
    except OperatorError as error:
        return error.detail
    return problem


def _called(point: EntryPoint) -> str:
    return f"the engine '{point.name}' of {package(point)}"


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    logger.disabled = True
    try:
        import_engine(question["engine"])
    except OperatorError as error:
        cause = f": {error.__cause__}" if error.__cause__ is not None else ""
        return {"problem": f"{error.detail}{cause}"}
    return {"problem": None}


if __name__ == "__main__":
    answer_apart(_answer)
