"""Optional packages that are not to be imported as they are."""

import importlib
import os
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


def import_onnxruntime() -> Any:
    """ONNX Runtime, without what it tells Microsoft of each graph that it loads (from 1.29 on).

    Names and hashes of the graph, and a name that it gives the machine in `~/.cache/Microsoft`.
    It looks at this variable when it is imported; who sets it to 0 has it tell.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")
