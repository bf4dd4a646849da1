"""Viewfinder: from a folder of photos to a production image-classification service.

`import viewfinder` brings nothing else in: what is named here comes when it is first asked for.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viewfinder.client.aio import AsyncClient
    from viewfinder.client.sending.retrying import Retries
    from viewfinder.client.sync import Client
    from viewfinder.local import Classifier
    from viewfinder.making import evaluate, optimize, train
    from viewfinder.types import Prediction

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Classifier",
    "Client",
    "Prediction",
    "Retries",
    "__version__",
    "evaluate",
    "optimize",
    "train",
]

_OLDEST = (3, 11)
if sys.version_info < _OLDEST:
    raise ImportError(
        "Viewfinder needs Python 3.11, 3.12 or 3.13, and this is "
        + ".".join(map(str, sys.version_info[:3]))
    )

_HOMES = {
    "AsyncClient": "viewfinder.client.aio",
    "Classifier": "viewfinder.local",
    "Client": "viewfinder.client.sync",
    "Prediction": "viewfinder.types",
    "Retries": "viewfinder.client.sending.retrying",
    "evaluate": "viewfinder.making",
    "optimize": "viewfinder.making",
    "train": "viewfinder.making",
}


def __getattr__(name: str) -> Any:
    """The public names, each from where it is made."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
