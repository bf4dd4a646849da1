"""What a test asks of a queue."""

from viewfinder.serving.queue.scheduler import Scheduler


def depth(queue: Scheduler) -> int:
    """How many items wait, in either lane."""
    return sum(queue.depths.values())
