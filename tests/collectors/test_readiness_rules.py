"""NodeReadinessRules as the API writes them: parsed, absent, refused; hostile ones are bounded or left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import readiness_rules
from fleet.collectors.apis import Apis
from fleet.collectors.errors import Failure
from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot import Taint
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule, RequiredCondition
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.scripted import Server, session

PATH = "/apis/readiness.node.x-k8s.io/v1alpha1/nodereadinessrules"
SERVED = Apis({"readiness.node.x-k8s.io": ("v1alpha1",)}, known=True)
SPEC: dict[str, Any] = {
    "conditions": [{"type": "example.com/NetworkReady", "requiredStatus": "True"}],
    "taint": {"key": "readiness.k8s.io/network", "effect": "NoSchedule", "value": "pending"},
    "enforcementMode": "continuous",
    "nodeSelector": {
        "matchLabels": {"pool": "gpu"},
        "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}],
    },
}


def parse(**spec: Any) -> NodeReadinessRule | None:
    raw = {"metadata": {"name": "network"}, "spec": {**SPEC, **spec}}
    return readiness_rules.parse(msgspec.convert(raw, readiness_rules.RuleWire))


def test_a_rule() -> None:
    assert parse() == NodeReadinessRule(
        name="network",
        conditions=(RequiredCondition("example.com/NetworkReady", "True"),),
        taint=Taint("readiness.k8s.io/network", "pending", "NoSchedule"),
        continuous=True,
        selector=(Requirement("pool", "in", ("gpu",)), Requirement("zone", "notin", ("b",))),
    )


def test_a_dry_run_until_the_node_has_started() -> None:
    rule = parse(dryRun=True, enforcementMode="bootstrap-only", nodeSelector=None)
    assert rule is not None
    assert (rule.dry_run, rule.continuous, rule.selector, rule.selects) == (True, False, (), True)


@pytest.mark.parametrize("spec", [{"taint": None}, {"conditions": None}, {"conditions": [{"requiredStatus": "True"}]}])
def test_without_taint_or_condition_it_is_left_out(spec: dict[str, Any]) -> None:
    assert parse(**spec) is None


@pytest.mark.parametrize(
    "selector",
    [
        {"matchExpressions": [{"key": "zone", "operator": "Near", "values": ["b"]}]},
        {"matchLabels": {f"k{number}": "v" for number in range(65)}},
        {"matchLabels": {"a b": "v"}},
    ],
)
def test_a_selector_that_cannot_be_read(selector: dict[str, Any]) -> None:
    rule = parse(nodeSelector=selector)
    assert rule is not None
    assert not rule.selects


def test_lists_and_names_are_bounded() -> None:
    many = [{"type": "x" * 1000, "requiredStatus": "True"} for _ in range(1000)]
    rule = parse(conditions=many)
    assert rule is not None
    assert len(rule.conditions) == 64
    assert len(rule.conditions[0].type) < 1000


def test_read_absent_and_refused() -> None:
    page = {"kind": "NodeReadinessRuleList", "metadata": {}, "items": [{"metadata": {"name": "network"}, "spec": SPEC}]}
    assert [rule.name for rule in readiness_rules.fetch(session(Server({PATH: page})), SERVED).items] == ["network"]
    with pytest.raises(Failure) as absent:
        readiness_rules.fetch(session(Server({})), Apis({"apps": ("v1",)}, known=True))
    assert absent.value.outcome is Outcome.ABSENT
