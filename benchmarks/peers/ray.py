"""The default model behind Ray Serve: two replicas, each with one interpreter thread.

python -m benchmarks.peers.ray --port 8001
"""

from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers import WORKERS, port
from benchmarks.peers.model import Model


@serve.deployment(num_replicas=WORKERS, ray_actor_options={"num_cpus": 1})
class Classify:
    """A Ray Serve deployment: made once in each replica."""

    def __init__(self) -> None:
        self.model = Model()

    async def __call__(self, request: Request) -> list[dict[str, Any]]:
        """A photo to the best classes by name."""
        return self.model.classify(await request.body())


def main() -> None:
    """Serve until told to stop."""
    ray.init(num_cpus=WORKERS, include_dashboard=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": port()})
    serve.run(Classify.bind(), blocking=True)


if __name__ == "__main__":
    main()
