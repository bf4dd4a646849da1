"""What may be asked of an answer, whoever is asked: a server, or a model in this process."""

from typing import Literal, TypeAlias, get_args

from viewfinder.errors import InvalidParameterError
from viewfinder.types import Explain

MOST_CLASSES = 100
"""As many classes as an answer may name."""

OnError: TypeAlias = Literal["raise", "return"]
"""What happens to a photo without an answer: `raise` ends it all there, `return` puts the error in
the place of the answer."""


def check_options(top_k: int, min_confidence: float, explain: Explain = "none") -> None:
    """Refuse what no server takes.

    Raises:
        InvalidParameterError: An option is out of its range.
    """
    if not 1 <= top_k <= MOST_CLASSES:
        raise InvalidParameterError(f"top_k: Input should be 1 to {MOST_CLASSES}")
    if not 0 <= min_confidence <= 1:
        raise InvalidParameterError("min_confidence: Input should be 0 to 1")
    if explain not in get_args(Explain):
        raise InvalidParameterError(f"explain: Input should be {' or '.join(get_args(Explain))}")


def check_on_error(on_error: str) -> None:
    """Refuse what is no `OnError`.

    Raises:
        InvalidParameterError: It is another word.
    """
    if on_error not in get_args(OnError):
        raise InvalidParameterError("on_error: Input should be 'raise' or 'return'")
