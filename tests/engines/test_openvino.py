"""OpenVINO runs here without calling home."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import environment

pytestmark = pytest.mark.openvino


def test_importing_the_engine_sends_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, viewfinder.engines.openvino; "
        "print([m for m in sys.modules if m.startswith('openvino_telemetry.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert list(tmp_path.iterdir()) == []
