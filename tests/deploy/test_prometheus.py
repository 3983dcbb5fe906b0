"""The alert rules: promtool takes them, their own tests pass, and every series they name is one that /metrics gives."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from fleet.domain.findings import Severity, Status
from fleet.domain.readiness.types import Verdict
from fleet.models import Exporter
from tests.factories import a_cluster, a_node, a_resource, a_run, a_target, scraper
from tests.programs import need

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "muster-alerts.yaml"


def promtool(*arguments: str) -> None:
    done = subprocess.run([need("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", RULES.name)


def test_the_rules_fire_on_what_they_are_for_and_on_nothing_else() -> None:
    promtool("test", "rules", "muster-alerts.test.yaml")


def test_every_rule_is_tested_and_says_what_to_do() -> None:
    tested = (FOLDER / "muster-alerts.test.yaml").read_text()
    for rule in rules():
        assert f'"{rule["alert"]}"' in tested or f"alertname: {rule['alert']}" in tested, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}


@pytest.mark.django_db
def test_every_series_that_the_rules_name_is_there(client: Any) -> None:
    now = datetime.now(UTC)
    section = {"name": "nodes", "outcome": "collected", "took_ms": 250}
    cluster = a_cluster(next_due_at=now, sections=[section])
    a_resource(a_node(cluster=cluster, usable=8, rungs=[{"id": "driver_loaded", "status": "fail"}]))
    a_run(cluster)
    a_target("ops")
    Exporter.objects.create(cluster=cluster, node_name="n1", report={"outcome": "collected"})
    samples = [
        sample
        for family in text_string_to_metric_families(client.get("/metrics", headers=scraper()).content.decode())
        for sample in family.samples
    ]
    labels = {sample.name: set(sample.labels) for sample in samples}
    for rule in rules():
        for name, selector in re.findall(r"\b(muster_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            assert name in labels, f"{rule['alert']} asks for {name}"
            for label, value in re.findall(r'(\w+)="([^"]*)"', selector or ""):
                assert label in labels[name], f"{rule['alert']} asks for {name}{{{label}}}"
                assert value in _known(label, samples), f"{rule['alert']} asks for {label}={value}"


def _known(label: str, samples: list[Any]) -> set[str]:
    closed = {"verdict": set(Verdict), "severity": set(Severity), "status": set(Status)}
    return {str(value) for value in closed.get(label, ())} | {
        sample.labels[label] for sample in samples if label in sample.labels
    }
