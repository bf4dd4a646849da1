"""The dashboard, and what the rules and it ask Prometheus."""

import json
import re
from typing import Any

from tests.deploy.prometheus import GRAFANA

# What Grafana puts in: enough time for every sample of a test's run, and everything there is.
_VARIABLES = {"$__rate_interval": "5m", "$job": "viewfinder", "$instance": ".*", "$model": ".*"}


def board() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads((GRAFANA / "dashboard.json").read_text())
    return found


def panels() -> list[dict[str, Any]]:
    """All panels, the rows too."""
    return [inner for panel in board()["panels"] for inner in (panel, *panel.get("panels", ()))]


def expressions() -> dict[str, str]:
    """What is asked for by whom: `panel A` as it stands in the file."""
    asked = {
        f"{panel['title']} ({panel['id']}) {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel.get("targets", ())
    }
    notes = board()["annotations"]["list"]
    return asked | {note["name"]: note["expr"] for note in notes if "expr" in note}


def legends() -> list[tuple[str, list[tuple[str, str]]]]:
    """For each panel its title, and what it asks for under which name."""
    return [
        (panel["title"], [(one["expr"], one["legendFormat"]) for one in panel.get("targets", ())])
        for panel in panels()
    ]


def variable_queries() -> dict[str, str]:
    """What the choices at the top ask for, by their names."""
    found = board()["templating"]["list"]
    return {one["name"]: one["query"]["query"] for one in found if one["type"] == "query"}


def filled_in(expression: str) -> str:
    """As Grafana sends it."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    left = re.search(r"\$\w+", expression)
    assert left is None, f"Grafana does not know {left[0] if left else ''}"
    return expression
