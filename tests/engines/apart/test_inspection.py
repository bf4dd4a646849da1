"""A foreign graph is looked at while somebody waits for it."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from tests.support import DATA, eventually, photo

from viewfinder.engines.apart.inspection import inspect


def _looking() -> psutil.Process:
    """The process that looks at the graph."""
    (found,) = [
        child
        for child in psutil.Process().children()
        if "viewfinder.engines.apart.inspection" in child.cmdline()
    ]
    return found


def test_who_waits_for_it_is_not_put_behind_all_others(tmp_path: Path) -> None:
    slow = tmp_path / "photo.jpg"
    os.mkfifo(slow)  # who reads it waits for what is written
    graph = DATA / "foreign-uint8.tflite"
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(
            inspect, graph, engine="litert", scaling=None, geometry={}, photos=[slow]
        )
        other_end: list[int] = []

        def opened() -> bool:
            with contextlib.suppress(OSError):  # nobody reads it yet
                other_end.append(os.open(slow, os.O_WRONLY | os.O_NONBLOCK))
            return bool(other_end)

        eventually(opened, within=120)
        os.set_blocking(other_end[0], True)
        with os.fdopen(other_end[0], "wb") as file:
            niceness = _looking().nice()
            file.write(photo("cat.jpg"))
        assert found.result(120).classes == 3
    assert niceness == psutil.Process().nice()
