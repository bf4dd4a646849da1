"""How many steps, how large, and how many of them fit into a budget."""

import math
from dataclasses import dataclass

BATCH = 32
WARM_UP = 0.1
_LOOKS = 12_000
_FEWEST_EPOCHS = 4
_MOST_EPOCHS = 20
_RESERVE = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a phase.

    Attributes:
        steps: Batches in all.
        steps_per_epoch: Batches that show every photo once; the last epoch may be shorter.
    """

    steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs, one that is cut short included."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def steps_of(self, epoch: int) -> int:
        """Batches of an epoch, which are counted from 0."""
        return min(self.steps_per_epoch, self.steps - epoch * self.steps_per_epoch)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Of a step counted from 0: a linear warm-up to the peak, then half a cosine to nothing.

    Source: Loshchilov and Hutter, 2016 (arXiv:1608.03983), without restarts.
    """
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def default_epochs(photos: int) -> int:
    """Epochs of fine-tuning: 4 for many photos, up to 20 for few."""
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, math.ceil(_LOOKS / photos)))


def plan(photos: int, epochs: int, *, batch: int = BATCH) -> Plan:
    """The steps that show every photo `epochs` times."""
    per_epoch = math.ceil(photos / batch)
    return Plan(per_epoch * epochs, per_epoch)


def fit(plan: Plan, *, seconds: float, step_s: float, validation_s: float) -> Plan | None:
    """Shorten a plan to what can be done in a time.

    Args:
        plan: What would be done with all the time in the world.
        seconds: What is left for it.
        step_s: Seconds of a step, as measured here.
        validation_s: Seconds of looking at the validation photos, once an epoch.

    Returns:
        The plan, shorter if need be; None if the time is not worth beginning with.
    """
    usable = seconds * _RESERVE - validation_s
    step_and_share = step_s + validation_s / plan.steps_per_epoch
    steps = min(plan.steps, int(usable / step_and_share))
    # Less than the warm-up of a fifth of an epoch moves nothing but the head out of place.
    return Plan(steps, plan.steps_per_epoch) if steps >= plan.steps_per_epoch / 5 else None
