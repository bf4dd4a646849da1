"""How long graphs take, in turns, so that a busy machine is busy for all."""

import statistics
from collections.abc import Sequence
from dataclasses import fields

from viewfinder.engines.apart.timing import Timing, time_variant
from viewfinder.errors import OperatorError
from viewfinder.evaluation.ladder import LeftOut
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.trying import Tried
from viewfinder.training.progress import Listener


def time_all(
    tried: Tried, judges: Judges, rounds: int, listener: Listener
) -> tuple[dict[str, Timing], list[LeftOut]]:
    """Time each graph in a process of its own, which proves its golden samples first.

    They take turns, so that a machine that is busy for a while is busy for all.

    Args:
        tried: The graphs.
        judges: Say with how many threads, and where.
        rounds: How many turns each has; the median counts.
        listener: Hears how it goes.

    Returns:
        The times by the graphs' names, and which have failed.
    """
    found: dict[str, list[Timing]] = {v.name: [] for v in tried.bundle.manifest.variants}
    left_out, whole = [], len(found)
    listener.phase("timing", rounds * whole)
    for turn in range(rounds):
        for number, name in enumerate(list(found)):
            listener.step(turn * whole + number)
            try:
                found[name].append(
                    time_variant(
                        tried.bundle,
                        name,
                        threads=judges.threads,
                        device=judges.device,
                        cache=judges.cache,
                    )
                )
            except OperatorError as error:
                left_out.append(LeftOut(name=name, why=error.detail.rstrip(".")))
                del found[name]
    listener.step(rounds * whole)
    return {name: _median(timings) for name, timings in found.items()}, left_out


def _median(timings: Sequence[Timing]) -> Timing:
    """Of each number by itself."""
    return Timing(
        **{
            field.name: statistics.median(getattr(timing, field.name) for timing in timings)
            for field in fields(Timing)
        }
    )
