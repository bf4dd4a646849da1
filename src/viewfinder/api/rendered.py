"""Answers that are written already."""

from fastapi import Response


class RenderedJson(Response):
    """An answer that is JSON already: FastAPI would check, convert and write the model again."""

    media_type = "application/json"
