"""The default model behind Ray Serve: two replicas, each with one interpreter thread.

python -m benchmarks.peers.ray --port 8001
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.peers import DEADLINE_S, MOST_WAITING, WORKERS, port
from benchmarks.peers.model import Model


class Classify:
    """A Ray Serve deployment: made once in each replica."""

    def __init__(self) -> None:
        self.model = Model()
        self.thread = ThreadPoolExecutor(1)

    async def __call__(self, request: Request) -> JSONResponse:
        """A photo to the best classes by name."""
        photo, loop = await request.body(), asyncio.get_running_loop()
        return JSONResponse(await loop.run_in_executor(self.thread, self.model.classify, photo))


def main() -> None:
    """Serve until told to stop."""
    ray.init(num_cpus=WORKERS, include_dashboard=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": port(), "request_timeout_s": DEADLINE_S})
    deployment = serve.deployment(
        num_replicas=WORKERS,
        ray_actor_options={"num_cpus": 1},
        max_queued_requests=MOST_WAITING,
        logging_config={"enable_access_log": False},
    )(Classify)
    serve.run(deployment.bind(), blocking=True)


if __name__ == "__main__":
    main()
