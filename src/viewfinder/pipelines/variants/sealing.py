"""Graphs into the variants of a bundle, each measured by the code that serves it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from viewfinder.datasets.photos import Split
from viewfinder.engines.apart.timing import Timing
from viewfinder.errors import BundleError
from viewfinder.evaluation.document import SplitEvaluation
from viewfinder.evaluation.evaluate import evaluate
from viewfinder.evaluation.ladder import Ladder, LeftOut, choose
from viewfinder.evaluation.scoring import Scored
from viewfinder.pipelines.variants.graphs import Graph
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.rows import row
from viewfinder.pipelines.variants.timing import time_all
from viewfinder.pipelines.variants.trying import score_test, try_out
from viewfinder.registry.manifest import Latency, Variant
from viewfinder.shared.machine import machine
from viewfinder.training.progress import Listener

MOST_DROP = 0.01
"""Accuracy on the validation photos that a variant may lose and still be recommended."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is to be published, but for its number and its documents.

    Attributes:
        variants: As in the manifest.
        recommended: One of them.
        contents: The files that they name.
        splits: How the recommended one does; empty where nobody knows what is right.
        reference: What the first graph gave, for the splits that it was asked for.
        ladder: The variants side by side.
    """

    variants: tuple[Variant, ...]
    recommended: Variant
    contents: Mapping[str, bytes]
    splits: Mapping[Split, SplitEvaluation]
    reference: Mapping[Split, Scored]
    ladder: Ladder


def seal(
    graphs: Sequence[Graph],
    judges: Judges,
    *,
    listener: Listener,
    max_drop: float = MOST_DROP,
    rounds: int = 1,
    left_out: Sequence[LeftOut] = (),
    notes: Sequence[str] = (),
) -> Sealed:
    """Calibrate each graph, measure it, and choose one, all by the way of serving.

    A graph that cannot be run, or that does not answer twice alike, is left out and named.

    Args:
        graphs: The first one is what the others are compared with.
        judges: The photos to measure with.
        listener: Hears how it goes.
        max_drop: Accuracy that the recommended one may lose, 0-1.
        rounds: How often each is timed, in turns; the median counts.
        left_out: What could not even be made.
        notes: What was found out in making them.

    Raises:
        BundleError: The first graph cannot be run.
    """
    reference = graphs[0].name
    with tempfile.TemporaryDirectory() as scratch:
        tried = try_out(graphs, judges, Path(scratch), listener)
        timings, failed = time_all(tried, judges, rounds, listener)
        if reference not in timings:
            raise BundleError(next(one.why for one in failed if one.name == reference))
        rows = tuple(row(tried, name, timings[name], reference, judges) for name in timings)
        ladder = Ladder(
            rows=rows,
            reference=reference,
            recommended=choose(rows, reference, max_drop),
            max_drop=max_drop,
            basis=judges.basis,
            photos=len(tried.scored[reference].photos) if judges.validation else 0,
            threads=judges.threads,
            machine=machine(),
            left_out=(*left_out, *tried.left_out, *failed),
            notes=tuple(notes),
        )
        variants = {name: _timed(tried.variant(name), timings[name]) for name in timings}
        best = variants[ladder.recommended]
        scored: dict[Split, Scored] = {}
        if judges.validation:
            scored["validation"] = tried.scored[best.name]
        if judges.test and judges.labelled:
            scored["test"] = score_test(tried, best.name, judges, listener)
    return Sealed(
        variants=tuple(variants.values()),
        recommended=best,
        contents={**tried.golden, **_files(graphs, variants)},
        splits={
            split: evaluate(best, judges.labels, found, seed=judges.seed, root=judges.root)
            for split, found in scored.items()
            if judges.labelled
        },
        reference=scored
        if best.name == reference
        else {split: tried.scored[reference] for split in scored if split == "validation"},
        ladder=ladder,
    )


def _files(graphs: Sequence[Graph], kept: Mapping[str, Variant]) -> dict[str, bytes]:
    return {
        path: content
        for graph in graphs
        if graph.name in kept
        for path, content in graph.files.items()
    }


def _timed(variant: Variant, timing: Timing) -> Variant:
    latency = Latency(p50_ms=round(timing.p50_ms, 3), machine=machine())
    return variant.model_copy(update={"latency": latency})
