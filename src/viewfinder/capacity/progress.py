"""Who hears how far it is."""

from collections.abc import Callable
from typing import TypeAlias

Tell: TypeAlias = Callable[[str, int, int], None]
"""Called with what goes on, how much of it is done, and of how much."""
