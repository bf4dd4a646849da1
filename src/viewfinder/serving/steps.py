"""What became of one photo, step by step, for the trace of who asked."""

from viewfinder.serving.compute import Computed
from viewfinder.telemetry.tracing import Attributes, current, past
from viewfinder.types import ServedModel


def note_steps(began: float, found: Computed, model: ServedModel) -> None:
    """Note the spans `queue`, `decode` and `inference` of an answer, where there is a trace.

    They were measured on the threads; a second wait, for a device, is between the last two.

    Args:
        began: On the clock of `time.monotonic`, when the photo was taken.
        found: The scores, and how long they took.
        model: Who answered.
    """
    if current() is None:
        return
    past("queue", began, found.began)
    past("decode", found.began, found.began + found.decode)
    attributes: Attributes = {
        "viewfinder.model": model.name,
        "viewfinder.version": model.version,
        "viewfinder.variant": model.variant,
    }
    past("inference", found.inferred - found.infer, found.inferred, attributes)
