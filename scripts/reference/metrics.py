"""`docs/reference/metrics.md`, from the metrics as they are declared."""

from scripts.reference.markdown import NOTICE, flow, lines, table

from viewfinder.telemetry.instruments import Family
from viewfinder.telemetry.metrics import Metrics

_INTRODUCTION = """\
What `GET /metrics` shows, in this order. [Operations](../operations.md#metrics) says how to scrape
it, and has queries and alerts.

A histogram has `_bucket` (with the label `le`), `_sum` and `_count`. A counter with labels appears
with its first event: no line with `outcome="failed"` means that nothing has failed."""

_LABELS = {
    "method": "one that HTTP knows, or `OTHER`",
    "endpoint": "the template of a route, such as `/v1/jobs/{job_id}`, or `unmatched`",
    "status": "the answer's; 499: the client did not wait",
    "reason": "the [code](../errors.md) of an error",
    "model": "a name in the store",
    "version": "its version; in `viewfinder_build_info`, Viewfinder's own",
    "variant": "the graph, such as `int8`",
    "device": "`cpu`, `cuda`...",
    "lane": "`interactive` (people) or `batch` (jobs, shadows, images to be stored, heat maps by "
    "occlusion)",
    "outcome": "what came of it; the metric says which there are",
    "plugin": "the name of a plug-in that hears of predictions",
    "state": "of the job: `succeeded`, `failed`, `cancelled`",
    "of": "by what: `classes`, `confidence`, `brightness`, `contrast`, `sharpness` or `saturation`",
    "part": "`model`, `compute`, `results`, `model NAME` for those loaded at start; `store`, "
    "`keys`, `cache`, `limits`, `idempotency`, `retention` and `jobs` only while something is "
    "wrong ([faults](../faults.md)); in a `viewfinder worker` no `model`, and always `jobs`",
    "pid": "of each server process",
}


def page() -> str:
    """The page."""
    families = Metrics().families
    used = dict.fromkeys(label for family in families for label in family.labels)
    return lines(
        NOTICE.format(source="src/viewfinder/telemetry"),
        "# Metrics",
        _INTRODUCTION,
        table(("name", "type", "labels", ""), [_row(family) for family in families]),
        "The last five come from Linux' `/proc`, and are absent elsewhere.",
        "## Labels",
        "None comes from a client: nobody can fill Prometheus by asking for odd addresses.",
        table(("label", ""), [(f"`{label}`", _LABELS[label]) for label in used]),
        "## Buckets",
        table(("upper bounds", "of"), _buckets(families)),
    )


def _row(family: Family) -> tuple[str, str, str, str]:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"`{family.name}`", family.kind, labels, flow(family.description)


def _buckets(families: tuple[Family, ...]) -> list[tuple[str, str]]:
    having: dict[tuple[float, ...], list[str]] = {}
    for family in families:
        if family.kind == "histogram":
            having.setdefault(family.buckets, []).append(f"`{family.name}`")
    return [
        (" ".join(f"{bound:,.10g}" for bound in bounds), ", ".join(names))
        for bounds, names in having.items()
    ]
