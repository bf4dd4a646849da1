"""A body of JSON, in a shape."""

from functools import partial
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from viewfinder.api.bodies.whole import off_the_loop, read_whole
from viewfinder.errors import MalformedRequestError

_from_json = partial(from_json, allow_inf_nan=False)

Body = TypeVar("Body", bound=BaseModel)

_MOST_VALUES = 10_000


async def read_json(
    schema: type[Body], request: Request, *, most_values: int = _MOST_VALUES
) -> Body:
    """A JSON body of a shape.

    Args:
        schema: The shape.
        request: Whose body it is.
        most_values: More than it needs, commas in texts included.

    Raises:
        RequestError: It is no JSON.
        RequestValidationError: It has another shape.
    """
    data = await read_whole(request)
    # Base64 has none of these: more of them are a flood of tiny values, each many times its size.
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > most_values:
        raise MalformedRequestError("The JSON holds far more values than any request needs.")
    try:
        return schema.model_validate(await off_the_loop(_from_json, data))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    except ValueError as error:
        raise MalformedRequestError("The body is not valid JSON.") from error
