"""Alerts and the dashboard: expressions parse, and every metric they name is one the worker has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.checking import DEPLOY, Checker
from worker.ops.metrics import Metrics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "intake.json"


def series() -> dict[str, set[str]]:
    """Every series the worker has, with its label names."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics(process=False)).values():
        if not hasattr(metric, "_labelnames"):
            continue
        labels = set(metric._labelnames)
        suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}[metric._type]
        for suffix in suffixes:
            found[metric._name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def dashboard_expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]


def expressions() -> list[str]:
    return [alert["expr"] for alert in alerts()] + [expression for expression, _ in dashboard_expressions()]


def test_the_rules_are_what_prometheus_reads(checker: Checker) -> None:
    checker.run("rules", str(ALERTS))


def test_a_broken_rule_would_be_found(checker: Checker, tmp_path: Path) -> None:
    for old, new in (
        ("sum(intake_lag) > 1000", "sum(intake_lag > 1000"),
        ("for: 10m", "four: 10m"),
        ("{{ $value }}", "{{ $valeu }}"),
    ):
        broken = tmp_path / "alerts.yaml"
        broken.write_text(ALERTS.read_text().replace(old, new, 1))
        with pytest.raises(AssertionError):
            checker.run("rules", str(broken))


def test_every_expression_of_the_dashboard_parses(checker: Checker) -> None:
    checker.run("promql", stdin="\n".join(expression for expression, _ in dashboard_expressions()))
    with pytest.raises(AssertionError):
        checker.run("promql", stdin="sum by (stage rate(x[5m]))")


def test_every_metric_that_is_asked_for_exists() -> None:
    known = set(series())
    for expression in expressions():
        named = set(re.findall(r"\bintake_[a-z_]+", expression))
        assert named or "process_" in expression
        assert named <= known, expression


def test_every_label_that_is_asked_for_exists() -> None:
    known = series()
    for expression, legend in dashboard_expressions():
        named = set(re.findall(r"\bintake_[a-z_]+", expression))
        if not named:
            continue
        has = set.union(*(known[name] for name in named)) | {"instance"}
        asked = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
        asked |= set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert asked <= has, expression


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert set(alert["annotations"]) == {"summary", "action"}
        assert len(alert["annotations"]["action"]) > 20


def test_kubernetes_has_the_same_rules() -> None:
    rule = yaml.safe_load((DEPLOY / "k8s" / "components" / "prometheus" / "prometheusrule.yaml").read_text())
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())


def test_panels_do_not_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
