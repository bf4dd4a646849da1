"""A model version in memory, and what is told of one."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from viewfinder.engines.loader import LoadedVariant
from viewfinder.registry.bundle import Bundle
from viewfinder.serving.compute import Computation
from viewfinder.serving.heatmaps.explainer import Explainer

State = Literal["loading", "ready", "failed", "unloaded"]


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a version can answer, and if not, why.

    Attributes:
        state: An `unloaded` version is loaded when a request asks for it.
        reason: Why it failed.
    """

    state: State
    reason: str | None = None


@dataclass(slots=True, eq=False)
class Slot:
    """A model version in memory. Hold it open (`with slot.open():`) for as long as it is needed.

    Attributes:
        loaded: The model.
        computation: The way of a photo through it.
        explainer: The way of a heat map through it.
        bytes: The memory that it counts for.
        users: How many hold it.
        used: When it was last asked for, on the clock of `time.monotonic`.
        on_idle: Called when the last user has gone.
    """

    loaded: LoadedVariant
    computation: Computation
    explainer: Explainer
    bytes: int
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    on_idle: Callable[[], None] | None = None

    @property
    def bundle(self) -> Bundle:
        """The version."""
        return self.loaded.bundle

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Keep it in memory meanwhile."""
        self.users += 1
        self.used = time.monotonic()
        try:
            yield
        finally:
            self.users -= 1
            if not self.users and self.on_idle is not None:
                self.on_idle()
