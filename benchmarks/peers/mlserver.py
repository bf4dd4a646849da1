"""The default model behind MLServer: two inference workers, each with one interpreter thread.

python -m benchmarks.peers.mlserver --port 8001
"""

import json
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel, cli
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers import WORKERS, port
from benchmarks.peers.model import Model


class Classify(MLModel):
    """An MLServer runtime: loaded once in each worker."""

    async def load(self) -> bool:
        """Load the model."""
        self.model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A photo in base64 to the best classes by name."""
        (photo,) = Base64Codec.decode_input(payload.inputs[0])
        best = json.dumps(self.model.classify(photo))
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("classes", [best])]
        )


def main() -> None:
    """Serve until told to stop."""
    folder = Path(tempfile.mkdtemp())
    (folder / "classify").mkdir()
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port(),
        "grpc_port": 0,  # any: it cannot be turned off
        "metrics_endpoint": None,
        "parallel_workers": WORKERS,
    }
    model = {"name": "classify", "implementation": "benchmarks.peers.mlserver.Classify"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "classify" / "model-settings.json").write_text(json.dumps(model))
    sys.argv = ["mlserver", "start", str(folder)]
    cli.main()


if __name__ == "__main__":
    main()
