"""The queues of one process, one for each device that computes."""

from collections.abc import Callable
from functools import partial

from viewfinder.serving.queue.scheduler import Scheduler

# One call computes while the next one's pixels are on their way.
_DEVICE_THREADS = 2


class Devices:
    """The queues of one process: the CPU's, and another device's once a model runs there.

    Args:
        threads: Compute threads of the CPU.
        capacity: How many items may wait in each lane of each.
        worked: Hears of each call, on its thread: the device, how many items, and its seconds.
    """

    def __init__(
        self,
        *,
        threads: int,
        capacity: int,
        worked: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self._capacity = capacity
        self._worked = worked
        self.cpu = Scheduler(threads=threads, capacity=capacity, worked=self._heard_by("cpu"))
        self._others: dict[str, Scheduler] = {}

    def of(self, device: str) -> Scheduler:
        """The queue of a device, its threads running."""
        if device == "cpu":
            return self.cpu
        if device not in self._others:
            self._others[device] = Scheduler(
                threads=_DEVICE_THREADS,
                capacity=self._capacity,
                name=device,
                worked=self._heard_by(device),
            )
            self._others[device].start()
        return self._others[device]

    @property
    def queues(self) -> dict[str, Scheduler]:
        """The queues there are, by their device."""
        return {"cpu": self.cpu, **self._others}

    def _heard_by(self, device: str) -> Callable[[int, float], None] | None:
        return None if self._worked is None else partial(self._worked, device)

    def start(self) -> None:
        """Start the threads."""
        self.cpu.start()

    def close(self) -> None:
        """Finish what waits: decoding first, which feeds the others. Blocks."""
        for scheduler in (self.cpu, *self._others.values()):
            scheduler.close()
