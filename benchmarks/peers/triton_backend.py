"""A model of Triton's Python backend: the default model, one interpreter thread an instance."""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from benchmarks.peers.model import Model


class TritonPythonModel:
    """A model as Triton's Python backend asks for it: made once in each instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model."""
        del args
        self.model = Model()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Photos to the best classes by name."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        photo = pb_utils.get_input_tensor_by_name(request, "photo").as_numpy()[0, 0]
        best = json.dumps(self.model.classify(photo))
        output = pb_utils.Tensor("classes", np.array([[best.encode()]], dtype=np.object_))
        return pb_utils.InferenceResponse(output_tensors=[output])
