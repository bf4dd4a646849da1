"""The default model behind BentoML: two workers, each with one interpreter thread.

bentoml serve benchmarks.peers.bentoml:Classify --host 127.0.0.1 --port 8001
"""

from pathlib import Path
from typing import Any

import bentoml

from benchmarks.peers import DEADLINE_S, MOST_WAITING, WORKERS
from benchmarks.peers.model import Model


@bentoml.service(
    workers=WORKERS,
    threads=1,
    traffic={"timeout": DEADLINE_S, "max_concurrency": MOST_WAITING},
    logging={"access": {"enabled": False}},
)
class Classify:
    """A BentoML service: made once in each worker."""

    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api
    def classify(self, image: Path, /) -> list[dict[str, Any]]:
        """A photo to the best classes by name."""
        return self.model.classify(image.read_bytes())
