"""Rules, dashboard and examples say what the metrics and the documentation say."""

import re
import shutil
from pathlib import Path

import pytest
from tests.deploy.dashboard import board, expressions, panels, variable_queries
from tests.deploy.prometheus import GRAFANA, RULES, promtool
from tests.deploy.rules import (
    METRICS,
    OPERATIONS,
    alerts,
    examples,
    fired,
    rule_expressions,
    rules,
)

from viewfinder.settings import ResultSettings, Settings
from viewfinder.telemetry.instruments import Family
from viewfinder.telemetry.metrics import Metrics

# Labels that Prometheus adds, or that are made by an aggregation.
_ADDED = {"job", "instance"}
_NAME = re.compile(
    r"(?<!:)\b(?:viewfinder|requests|request|process)_[a-z_]*[a-z]\b(?=[\s\[{)(,/]|$)(?! =)"
)
_SELECTOR = re.compile(r"\b([a-z_:]+)\{([^}]*)\}")
_OF_A_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    return {family.name: family for family in Metrics().families}


def _asked() -> dict[str, str]:
    documented = {f"docs/operations.md: {text}": text for text in examples()}
    return {**rule_expressions(), **expressions(), **variable_queries(), **documented}


def _family(name: str, families: dict[str, Family]) -> Family | None:
    base = _OF_A_HISTOGRAM.sub("", name)
    if base != name and base in families:
        return families[base] if families[base].kind == "histogram" else None
    found = families.get(name)
    return None if found is None or found.kind == "histogram" else found


def test_there_are_examples() -> None:
    assert len(examples()) >= 12


def test_rules_dashboard_and_examples_name_metrics_that_there_are(
    families: dict[str, Family],
) -> None:
    seen = set()
    for who, expression in _asked().items():
        text = re.sub(r'"[^"]*"|\b(by|on|group_left) \([^)]*\)', " ", expression)
        names = _NAME.findall(text)
        assert names or "up" in text or ":" in text, who
        for name in names:
            assert _family(name, families) is not None, f"{who}: {name}"
            seen.add(_OF_A_HISTOGRAM.sub("", name))
    # What is measured can be seen: each metric is in the dashboard, or in a rule.
    assert {*families} - seen == set()


def test_they_use_labels_that_the_metrics_have(families: dict[str, Family]) -> None:
    known = {label for family in families.values() for label in family.labels} | {"le"}
    for who, expression in _asked().items():
        for name, inner in _SELECTOR.findall(expression):
            family = _family(name, families)
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', inner)))
            if family is not None:
                bounds = {"le"} if name.endswith("_bucket") else set()
                assert labels <= {*family.labels, *_ADDED, *bounds}, f"{who}: {name}"
        for inner in re.findall(r"\b(?:by|on|without|group_left) ?\(([^)]*)\)", expression):
            labels = {label.strip() for label in inner.split(",") if label.strip()}
            assert labels <= known | _ADDED, f"{who}: {inner}"


def test_each_metric_is_documented_as_it_is(families: dict[str, Family]) -> None:
    section = METRICS.read_text().partition("\n# Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| .+ \|$", section, re.MULTILINE)
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
    }
    there_are = {family.name: (family.kind, family.labels) for family in families.values()}
    assert documented == there_are


def test_each_alert_says_what_to_do_and_leads_to_its_paragraph() -> None:
    section = OPERATIONS.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
    names = [alert["alert"] for alert in alerts()]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == names
    for alert in alerts():
        name, notes = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert len(notes["summary"]) > 20, name
        assert len(notes["description"]) > 40, name
        assert notes["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_each_alert_is_shown_to_fire() -> None:
    assert fired() == {alert["alert"] for alert in alerts()}


def test_they_fit_the_default_settings() -> None:
    assert f"> {ResultSettings().buffer // 2}" in rule_expressions()["ViewfinderResultsWaiting"]
    assert (
        f"localhost:{Settings.model_fields['port'].default}"
        in (GRAFANA / "prometheus.yml").read_text()
    )


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    found = board()
    assert found["id"] is None
    assert found["schemaVersion"] >= 39
    names = {one["name"] for one in found["templating"]["list"]}
    assert names == {"datasource", "job", "instance", "model"}
    shown = panels()
    ids = [panel["id"] for panel in shown]
    assert len(set(ids)) == len(ids)
    for panel in shown:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit") or panel["type"] in {
            "heatmap",
            "state-timeline",
            "table",
        }
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_panel_lies_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


def test_every_expression_of_the_dashboard_keeps_to_what_was_chosen() -> None:
    for who, expression in expressions().items():
        for name, inner in _SELECTOR.findall(expression):
            assert 'job=~"$job"' in inner, (who, name)
            assert 'instance=~"$instance"' in inner, (who, name)


def test_promtool_takes_the_rules() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", RULES)


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", GRAFANA / "viewfinder.rules.test.yml")


def test_promtool_takes_the_scrape_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", RULES.name):
        shutil.copy(GRAFANA / name, tmp_path)
    (tmp_path / "viewfinder.key").write_text("secret")
    assert "SUCCESS" in promtool("check", "config", tmp_path / "prometheus.yml")
