"""A plug-in of Viewfinder: a line of a file for every prediction."""

import json
import os
from pathlib import Path

from viewfinder.serving.callbacks import CompletedPrediction


class AuditLog:
    """Writes to the file that `AUDIT_LOG` names, one JSON object a line."""

    def __init__(self) -> None:
        """Open the file."""
        path = Path(os.environ.get("AUDIT_LOG", "audit.jsonl"))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def on_prediction_complete(self, event: CompletedPrediction) -> None:
        """Hear of a prediction that has been answered."""
        prediction = event.prediction
        line = {
            "id": prediction.id,
            "class": prediction.top.label,
            "confidence": prediction.top.confidence,
            "model": f"{prediction.model.name}@{prediction.model.version}",
            "cached": prediction.cached,
            "photo_bytes": event.image_bytes,
            "photo_sha256": event.image_sha256,
        }
        self._file.write(json.dumps(line) + "\n")
