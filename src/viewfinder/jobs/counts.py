"""What a process has done for jobs."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Counts since the process began.

    Attributes:
        images: Images that are done, by `succeeded` and `failed`.
        finished: Jobs that are over, by their state.
    """

    images: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
