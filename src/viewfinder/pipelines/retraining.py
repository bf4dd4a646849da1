"""What of an optimisation takes training: pruning, and teaching a smaller model."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from viewfinder.pipelines.task import Task
from viewfinder.pipelines.variants.graphs import DISTILLED, PRUNED
from viewfinder.pipelines.workplace import described_weights
from viewfinder.training.progress import Epoch, Listener
from viewfinder.training.run import RunFolder


@dataclass(frozen=True, slots=True)
class Retrained:
    """What took training.

    Attributes:
        pruned: A `keras.Model` with zeros, if it was asked for.
        student: A smaller one, if it was asked for.
        history: The epochs of both.
        notes: What a person should know of them.
        runs: What can be forgotten once all is published.
        facts: For the provenance.
    """

    pruned: Any = None
    student: Any = None
    history: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
    runs: tuple[RunFolder, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def retrain(
    task: Task,
    model: Any,
    held: ExitStack,
    *,
    listener: Listener,
    should_stop: Callable[[], bool],
    clock: Callable[[], float],
) -> Retrained:
    """Prune and teach, where that was asked for.

    Args:
        task: What is asked for.
        model: The `keras.Model`; it stays as it is.
        held: Keeps other processes off the runs' folders until it is closed.
        listener: Hears how it goes.
        should_stop: Asked often.
        clock: Seconds.

    Raises:
        TrainingError: Another process is at it, or the numbers got out of hand.
        TrainingStoppedError: It was asked for; the next call goes on from there.
        WeightsError: There are no such weights for the smaller model.
    """
    options, found = task.options, Retrained()
    folder = task.workplace.home / "runs" / task.bundle.manifest.name
    train, validation = task.examples("train"), task.examples("validation")

    def run(what: str) -> RunFolder:
        made = RunFolder(folder / f"{task.key}-{what}")
        held.enter_context(made.held())
        return made

    def how(what: str) -> dict[str, Any]:
        return {
            "epochs": options.epochs,
            "seed": options.seed,
            "run": run(what),
            "listener": listener,
            "should_stop": should_stop,
            "threads": task.workplace.threads,
            "clock": clock,
        }

    if options.distill is not None:
        from viewfinder.optimization.distill import distill

        chosen = how(DISTILLED)
        taught = distill(
            model,
            options.distill,
            train,
            validation,
            weights=options.student_weights,
            **chosen,
        )
        found = replace(
            found,
            student=taught.model,
            history=(*found.history, *taught.history),
            runs=(*found.runs, chosen["run"]),
            facts={
                **found.facts,
                "student": options.distill,
                "student_weights": described_weights(options.student_weights),
            },
        )
    if options.prune is not None:
        from viewfinder.optimization.prune import prune

        chosen = how(PRUNED)
        pruned = prune(model, train, validation, sparsity=options.prune, **chosen)
        found = replace(
            found,
            pruned=pruned.model,
            history=(*found.history, *pruned.history),
            notes=(*found.notes, f"{PRUNED}: {pruned.sparsity:.0%} of all weights are zero."),
            runs=(*found.runs, chosen["run"]),
            facts={**found.facts, "sparsity": pruned.sparsity},
        )
    return found
