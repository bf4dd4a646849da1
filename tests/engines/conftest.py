"""EfficientNet-Lite0 as each engine's own graph, converted once for all the tests of a run."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import ROOT


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `tests.engines.convert` fills."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each worker has its own folder in it
    folder = shared / "graphs"
    with (shared / "graphs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = shared / "graphs.partial"
            partial.mkdir(exist_ok=True)
            subprocess.run(
                [sys.executable, "-m", "tests.engines.convert", str(partial)], cwd=ROOT, check=True
            )
            partial.rename(folder)
    return folder
