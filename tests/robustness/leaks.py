"""What an answer must never hold: where things lie on this machine, and what they are called."""

import re
import sys
import tempfile
from pathlib import Path

import pytest

_MODULES = (
    "ai_edge_litert",
    "anyio",
    "asyncio",
    "asyncpg",
    "cachetools",
    "fastapi",
    "h11",
    "httptools",
    "httpx",
    "numpy",
    "obstore",
    "onnxruntime",
    "openvino",
    "PIL",
    "Pillow",
    "pydantic",
    "python-multipart",
    "python_multipart",
    "redis",
    "sqlalchemy",
    "sqlite3",
    "starlette",
    "tensorflow",
    "urllib",
    "uvicorn",
    "uvloop",
)
_LEAKS = {
    "a source file": r"\.py\b|/src/|site-packages|dist-packages|\bline \d+, in\b",
    "a traceback": r"Traceback|During handling of|most recent call",
    "a class of exceptions": r"\b[A-Z][A-Za-z]*(?:Error|Exception|Warning|Timeout|Disconnect)\b",
    "Python's way to write things": r" object at 0x|<class '|<function |<coroutine |\bb'|\bNone\b",
    "an error of the system": r"Errno|\[SSL|\bSQLSTATE\b",
    "a module": r"\bviewfinder\.\w|\b(?:" + "|".join(map(re.escape, _MODULES)) + r")\b",
    "a folder of this machine": "|".join(
        re.escape(str(folder))
        for folder in {Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir())}
        if folder != Path("/")
    ),
}


def check_no_leak(text: str) -> None:
    """Fail when an answer gives away a path, an exception, a module, or Python itself."""
    for what, pattern in _LEAKS.items():
        found = re.search(pattern, text)
        if found is not None:
            around = text[max(0, found.start() - 80) : found.end() + 80]
            pytest.fail(f"an answer holds {what}, {found[0]!r}: ...{around}...")
