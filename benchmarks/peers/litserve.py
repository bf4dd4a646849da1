"""The default model behind LitServe: two workers, each with one interpreter thread.

    python -m benchmarks.peers.litserve --port 8001

Takes the photo as the form's file, or as base64 in JSON: LitServe reads no raw body.
"""

import base64
from typing import Any

import litserve as ls
import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from benchmarks.peers import DEADLINE_S, WORKERS, port
from benchmarks.peers.model import Model


class Classify(ls.LitAPI):
    """A LitServe API: set up once in each worker."""

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        self.model = Model()

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        """A form or a JSON object to pixels."""
        # With this annotation LitServe gives what it has parsed, which reads like a dictionary.
        if "image" in request:
            data = base64.b64decode(request["image"])
        else:
            data = request["file"].file.read()
        return self.model.pixels(data)

    def predict(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels to confidence."""
        return self.model.confidence(x)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, Any]:
        """The best classes by name."""
        return {"classes": self.model.best(output)}


def main() -> None:
    """Serve until told to stop."""
    server = ls.LitServer(
        Classify(), accelerator="cpu", workers_per_device=WORKERS, timeout=DEADLINE_S
    )
    server.run(host="127.0.0.1", port=port(), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
