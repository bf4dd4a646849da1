"""Whether manifests have the shape that Kubernetes takes."""

import importlib
import importlib.util
from typing import Any

from tests.deploy.helm import Manifest
from tests.support import needs

_TEXT = {"type": "string", "minLength": 1}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": [*required],
        "additionalProperties": False,
    }


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


_METADATA = _object({"name": _TEXT, "labels": _LABELS})
_SELECTOR = _object({"matchLabels": {**_LABELS, "minProperties": 1}})
_RELABELING = _object({"targetLabel": _TEXT}, sourceLabels=_list(_TEXT), replacement=_TEXT)
_ENDPOINT = _object(
    {"port": _TEXT, "path": {"const": "/metrics"}, "interval": _TEXT},
    authorization=_object(
        {"type": {"const": "Bearer"}, "credentials": _object({"name": _TEXT, "key": _TEXT})}
    ),
    relabelings=_list(
        _object({"targetLabel": _TEXT}, sourceLabels=_list(_TEXT), replacement=_TEXT)
    ),
)
_RULE = {
    **_object({"expr": _TEXT}, alert=_TEXT, record=_TEXT, annotations=_LABELS, labels=_LABELS),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
_RULE["properties"] = {**_RULE["properties"], "for": _TEXT, "keep_firing_for": _TEXT}
_GROUP = _object({"name": _TEXT, "rules": _list(_RULE)}, interval=_TEXT)


def _kind(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "kind": {"const": name},
            "metadata": _METADATA,
            "spec": spec,
        }
    )


# The definitions of the Prometheus Operator are in no package: these are the fields that the chart
# writes, as its API reference has them, and no others.
_SHAPES = {
    "ServiceMonitor": _kind(
        "ServiceMonitor", _object({"selector": _SELECTOR, "endpoints": _list(_ENDPOINT)})
    ),
    "PodMonitor": _kind(
        "PodMonitor", _object({"selector": _SELECTOR, "podMetricsEndpoints": _list(_ENDPOINT)})
    ),
    "PrometheusRule": _kind("PrometheusRule", _object({"groups": _list(_GROUP)})),
}


def check(manifest: Manifest, version: str) -> None:
    """Raise what is wrong with a manifest; a field that is not known is wrong.

    Args:
        manifest: What to look at.
        version: Of Kubernetes.
    """
    there = importlib.util.find_spec("kubernetes_validate") is not None
    needs("kubernetes-validate (pip install kubernetes-validate)", met=there)
    if manifest["kind"] in _SHAPES:
        importlib.import_module("jsonschema").validate(manifest, _SHAPES[manifest["kind"]])
    else:
        kubernetes = importlib.import_module("kubernetes_validate")
        kubernetes.validate(manifest, version, strict=True)
