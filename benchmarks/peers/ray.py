"""The default model behind Ray Serve: two replicas, each with one interpreter thread.

python -m benchmarks.peers.ray --port 8001
"""

import os
import tempfile

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.peers import DEADLINE_S, MOST_WAITING, WORKERS, port
from benchmarks.peers.model import Model


@serve.deployment(
    num_replicas=WORKERS,
    ray_actor_options={"num_cpus": 1},
    max_queued_requests=MOST_WAITING,
    logging_config={"enable_access_log": False},
)
class Classify:
    """A Ray Serve deployment: made once in each replica."""

    def __init__(self) -> None:
        self.model = Model()

    async def __call__(self, request: Request) -> JSONResponse:
        """A photo to the best classes by name."""
        return JSONResponse(self.model.classify(await request.body()))


def main() -> None:
    """Serve until told to stop."""
    # Of its own, or two runs would be in each other's way.
    scratch = tempfile.gettempdir()
    os.environ |= {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{scratch}/haproxy/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{scratch}/haproxy/admin.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{scratch}/haproxy",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{scratch}/haproxy/server-state",
    }
    ray.init(num_cpus=WORKERS, include_dashboard=False, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": port(), "request_timeout_s": DEADLINE_S})
    serve.run(Classify.bind(), blocking=True)


if __name__ == "__main__":
    main()
