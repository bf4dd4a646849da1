"""What the shapes of answers have in common."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """What the API says: nobody changes it after it was made."""

    model_config = ConfigDict(frozen=True)
