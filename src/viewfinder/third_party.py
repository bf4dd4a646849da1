"""Optional packages that are not to be imported as they are."""

import importlib
import sys
from types import ModuleType
from typing import Any


def import_openvino() -> Any:
    """OpenVINO, without what it tells Google Analytics when it is imported.

    Its converter, which comes with every import of the package, sends an event unless a file in
    the home folder forbids it. Where `openvino_telemetry` has no modules, it takes its own stub.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))
    return importlib.import_module("openvino")
