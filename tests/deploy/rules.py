"""The rules and their tests as Prometheus reads them, and the queries of the documentation."""

import importlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.prometheus import GRAFANA, RULES
from tests.support import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"
METRICS = ROOT / "docs" / "reference" / "metrics.md"


def rules() -> list[dict[str, Any]]:
    """All rules in their order."""
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def rule_expressions() -> dict[str, str]:
    """What each asks for, by its name."""
    return {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules()}


def alerts() -> list[dict[str, Any]]:
    """Those that tell somebody."""
    return [rule for rule in rules() if "alert" in rule]


def fired() -> set[str]:
    """The alerts that a test expects."""
    names = set()
    for test in read_yaml(GRAFANA / "viewfinder.rules.test.yml")["tests"]:
        names |= {
            one["alertname"] for one in test.get("alert_rule_test", ()) if "exp_alerts" in one
        }
        samples = (
            sample["labels"]
            for asked in test.get("promql_expr_test", ())
            for sample in asked.get("exp_samples", ())
        )
        names |= {
            text.split('alertname="')[1].split('"')[0] for text in samples if "ALERTS" in text
        }
    return names


def examples() -> list[str]:
    """The queries of the documentation."""
    found = re.findall(r"```promql\n(.*?)```", OPERATIONS.read_text(), re.DOTALL)
    lines = "\n".join(found).splitlines()
    kept = "\n".join("" if line.startswith("#") else line for line in lines)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", kept) if part.strip()]


@cache
def read_yaml(path: Path) -> Any:
    """What is in a file."""
    yaml = importlib.import_module("yaml")  # without types of its own
    return yaml.safe_load(path.read_text())
