"""A model that looks real: the evaluation and the ladder of a real run, on graphs that run at once.

`tests/data/clothing-evaluation.json` is what `viewfinder train --epochs 2` and then
`viewfinder optimize` found on 3,781 photos of clothes (CC0), with EfficientNet-Lite0; the
history is that of the training.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support import DATA, grey

from viewfinder.evaluation.document import Evaluation
from viewfinder.evaluation.report.page import render_report
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import (
    Calibration,
    ExpectedScore,
    Golden,
    GoldenSample,
    Label,
    Latency,
    Manifest,
    Variant,
)

NAME = "clothing"
FOUND = Evaluation.model_validate_json((DATA / "clothing-evaluation.json").read_bytes())
_MS = 5
_SIDE = 224
_TEMPERATURE = 2.2
LABELS = sorted(one.label for one in FOUND.result.classes)


def shade(label: str, nuance: int = 0) -> bytes:
    """A photo that version 2 answers with this label: its brightness is what counts."""
    return grey(int((LABELS.index(label) + 0.5) * 256 / len(LABELS)), (32 + nuance, 32))


def measured(store: Path, version: int, **documents: bytes) -> Bundle:
    """Write a version with all that a run leaves: variants, evaluation, ladder and report."""
    evaluation = FOUND.model_copy(update={"version": version})
    made = {
        "evaluation.json": evaluation.model_dump_json().encode(),
        "report.html": render_report(evaluation).encode(),
    }
    return _write(store, version, {**made, **documents})


def unmeasured(store: Path, version: int, *, proved: bool = True, swapped: bool = False) -> Bundle:
    """Write a version that nobody has measured.

    Args:
        store: The folder of all models.
        version: Of the model.
        proved: Whether it answers its golden photo as it says it did.
        swapped: Whether it takes shirts for T-shirts, and the other way round.
    """
    return _write(store, version, {}, proved=proved, swapped=swapped)


def _write(
    store: Path,
    version: int,
    documents: Mapping[str, bytes],
    *,
    proved: bool = True,
    swapped: bool = False,
) -> Bundle:
    other = {"shirt": "t-shirt", "t-shirt": "shirt"} if swapped else {}
    golden = grey(0)
    files: dict[str, bytes] = {**documents, "golden/dark.png": golden}
    expected = ExpectedScore(index=0 if proved else 1, confidence=0.95)
    sample = GoldenSample(file=describe("golden/dark.png", golden), top=(expected,))
    result, variants = FOUND.result, []
    calibration = Calibration(
        temperature=result.temperature if documents else _TEMPERATURE,
        abstain_below=result.abstain_below,
    )
    assert FOUND.ladder is not None
    for row in FOUND.ladder.rows if documents else [FOUND.ladder.row("int8")]:
        path = f"{row.name}.json"
        # Of the one that is served, the real size too.
        files[path] = (
            json.dumps(
                {"classes": len(LABELS), "milliseconds": _MS, "height": _SIDE, "width": _SIDE}
            )
            .encode()
            .ljust(row.bytes if row.name == FOUND.variant else 0)
        )
        variants.append(
            Variant(
                name=row.name,
                format="fake",
                engine="fake",
                file=describe(path, files[path]),
                preprocess=PreprocessSpec(width=_SIDE, height=_SIDE),
                calibration=calibration,
                golden=Golden(tolerance=0.1, samples=(sample,)),
                accuracy=row.accuracy if documents else None,
                latency=Latency(p50_ms=row.p50_ms, machine="test") if row.p50_ms else None,
            )
        )
    manifest = Manifest(
        name=NAME,
        version=version,
        created=datetime.now(UTC) - timedelta(days=10 - version, hours=2),
        labels=tuple(Label(name=other.get(label, label)) for label in LABELS),
        variants=tuple(variants),
        recommended=FOUND.variant,
        evaluation=_summary() if documents else None,
        documents=tuple(describe(path, content) for path, content in documents.items()),
        provenance={**FOUND.provenance, "parent": version - 1 or None} if documents else {},
    )
    return write_bundle(store / NAME / str(version), manifest, files)


def _summary() -> dict[str, Any]:
    return {part: found.summary() for part, found in FOUND.splits.items()}
