"""The terminal, and the log, while converters run."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the converters' chatter (progress bars, signatures, debug warnings) to themselves."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        _root_logger_deaf(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _root_logger_deaf() -> Iterator[None]:
    """Drop what is said to the root logger itself; loggers with a name are heard as before.

    The functions of `logging` that speak to it also give it a handler, for good, where it has
    none: it would write to the stderr of this moment.
    """
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addFilter(_nothing)
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
        root.removeFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False
