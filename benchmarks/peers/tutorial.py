"""The code that tutorials show: Keras' `predict` inside `async def`, and nothing around it.

    python -m benchmarks.peers.tutorial --port 8001

Needs the extra `train`. It is written as found, not as it should be.
"""

import argparse
import io
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from viewfinder.modeling.backbones import BACKBONES
from viewfinder.modeling.classifier import imagenet_classifier
from viewfinder.registry.scanning import BUILTIN_MODEL

SIDE = 224

app = FastAPI()
model = imagenet_classifier(BACKBONES[BUILTIN_MODEL])


@app.post("/classify")
async def classify(file: UploadFile) -> dict[str, Any]:
    """Classify one photo."""
    image = Image.open(io.BytesIO(await file.read())).convert("RGB").resize((SIDE, SIDE))
    scores = model.predict(np.array(image)[np.newaxis])[0]
    return {"class": int(scores.argmax()), "score": float(scores.max())}


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, port=parser.parse_args().port)


if __name__ == "__main__":
    main()
