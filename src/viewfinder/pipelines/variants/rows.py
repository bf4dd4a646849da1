"""All that is known of a graph, in a row beside the others."""

import zlib
from typing import Any

import numpy as np

from viewfinder.engines.apart.timing import Timing
from viewfinder.evaluation.evaluate import targets_of
from viewfinder.evaluation.ladder import Difference, VariantRow
from viewfinder.evaluation.metrics import expected_calibration_error
from viewfinder.evaluation.scoring import Scored, confidences
from viewfinder.evaluation.significance import compare
from viewfinder.pipelines.variants.graphs import RUNGS
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.pipelines.variants.trying import Tried
from viewfinder.registry.manifest import (
    Variant,
)


def row(tried: Tried, name: str, timing: Timing, reference: str, judges: Judges) -> VariantRow:
    """All that is known of a graph, compared with another."""
    variant, contents = tried.variant(name), tried.graphs[name].contents
    known: dict[str, Any] = {}
    if name in tried.scored:
        known = _worth(variant, tried.scored[name], tried.scored[reference], judges)
        if name == reference:
            known.pop("difference", None)
    return VariantRow(
        name=name,
        bytes=sum(map(len, contents.values())),
        what=RUNGS[name].what,
        format=variant.format,
        compressed_bytes=sum(len(zlib.compress(content)) for content in contents.values()),
        p50_ms=round(timing.p50_ms, 3),
        throughput=round(timing.throughput, 1),
        peak_bytes=timing.peak_bytes,
        accuracy=variant.accuracy,
        temperature=variant.calibration.temperature,
        **known,
    )


def _worth(variant: Variant, scored: Scored, base: Scored, judges: Judges) -> dict[str, Any]:
    """How a graph's answers are, beside those of the reference."""
    answers, base_answers = scored.scores.argmax(axis=1), base.scores.argmax(axis=1)
    agreement = float((answers == base_answers).mean())
    if not judges.labelled:
        return {"agreement": agreement}
    targets = targets_of(scored.photos, judges.labels)
    right = answers == targets
    confidence = confidences(
        scored.scores, output=variant.output, temperature=variant.calibration.temperature
    )
    top = confidence.max(axis=1).astype(np.float64)
    return {
        "agreement": agreement,
        "ece": expected_calibration_error(top, right),
        "difference": Difference.of(compare(base_answers == targets, right, seed=judges.seed)),
    }
