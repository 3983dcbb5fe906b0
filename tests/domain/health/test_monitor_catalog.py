"""Every entry of monitors.toml: its value finds, its good or absent value passes, and without evidence it has no result."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from fleet.domain.catalog import monitors, xids
from fleet.domain.catalog.monitors import Meaning, Signal
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.driver_upgrades import driver_upgrade
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Severity, Status
from fleet.domain.health.signals import signals_of
from fleet.domain.snapshot import Condition, NodeInfo, NodeSnapshot, OperatorSnapshot, Taint
from tests.builders import make_node, make_pod
from tests.domain.health.subjects import ask, subject

READY = Condition(type="Ready", status="True")
RULE_OF: dict[Meaning, str] = {
    "fault": "monitors",
    "warning": "monitors",
    "predicted": "predicted_to_fail",
    "validating": "out_of_service",
    "repair": "out_of_service",
    "drained": "out_of_service",
    "quarantined": "out_of_service",
    "maintenance": "out_of_service",
}
"""Meaning to the rule that shows it. `reserved` and `good` are no findings."""
CATALOG = monitors.load()
CONDITIONS = [(monitor, type_) for monitor in CATALOG.monitor for type_ in monitor.types]
VALUES = [(signal, value, meaning) for signal in CATALOG.signal for value, meaning in signal.values.items()]


def with_signal(signal: Signal, value: str) -> NodeSubject:
    key = f"{signal.key}{'x' if signal.prefix and signal.on != 'pod_condition' else ''}"
    text = "anything" if value == "*" else value
    node = make_node(conditions=(READY,))
    pods: tuple[Any, ...] = ()
    if signal.on == "label":
        node = structs.replace(node, labels=node.labels | {key: text})
    elif signal.on == "annotation":
        node = structs.replace(node, annotations={key: text})
    elif signal.on == "taint":
        node = structs.replace(node, taints=(Taint(key, text, "NoSchedule"),))
    else:
        pods = (make_pod("p", gpus=0, signals=(f"{key}{text}",)),)
    return subject(node=node, pods=pods)


def name_of(entry: tuple[Signal, str, Meaning]) -> str:
    return f"{entry[0].monitor}:{entry[0].key}={entry[1]}"


@pytest.mark.parametrize("entry", VALUES, ids=name_of)
def test_a_value_is_shown_with_its_meaning(entry: tuple[Signal, str, Meaning]) -> None:
    signal, value, meaning = entry
    made = with_signal(signal, value)
    assert {(row.monitor, row.meaning) for row in signals_of(made.node, made.pods)} == {(signal.monitor, meaning)}
    for rule in set(RULE_OF.values()):
        assert bool(ask(rule, made).findings) is (RULE_OF.get(meaning) == rule), rule


@pytest.mark.parametrize("signal", [signal for signal in CATALOG.signal if "*" not in signal.values], ids=lambda s: s.key)
@pytest.mark.parametrize("value", ["", "something-new", "0"])
def test_a_value_that_is_not_known_says_nothing(signal: Signal, value: str) -> None:
    made = with_signal(signal, value)
    assert signals_of(made.node, made.pods) == ()
    assert all(not ask(rule, made).findings for rule in set(RULE_OF.values()))


@pytest.mark.parametrize("entry", [entry for entry in VALUES if entry[1] not in ("*", "")], ids=name_of)
def test_the_case_of_a_value_does_not_matter(entry: tuple[Signal, str, Meaning]) -> None:
    signal, value, meaning = entry
    assert signal.meaning(value.upper()) == signal.meaning(value.lower()) == meaning


@pytest.mark.parametrize(("monitor", "type_"), CONDITIONS, ids=lambda item: getattr(item, "name", item))
def test_a_condition_finds_passes_and_is_unknown_by_its_own_polarity(monitor: monitors.Monitor, type_: str) -> None:
    def answer(status: str, **fields: Any) -> Any:
        return ask("monitors", subject(node=make_node(conditions=(READY, Condition(type=type_, status=status, **fields)))))

    good = "False" if monitor.bad == "True" else "True"
    assert [finding.key for finding in answer(monitor.bad).findings] == [type_]
    assert [finding.key for finding in answer(monitor.bad, reason="{not json", message="\x00" * 50).findings] == [type_]
    assert answer(good).findings == ()
    assert answer(good).status in (Status.PASS, Status.NOT_ENABLED)
    for odd in ("Unknown", "", "true", "1"):
        assert (answer(odd).status, answer(odd).findings) == (Status.UNKNOWN, ())


def test_without_evidence_nothing_is_shown() -> None:
    bare = subject(node=make_node(conditions=(READY,)))
    assert signals_of(bare.node, bare.pods) == ()
    assert {ask(rule, bare).status for rule in set(RULE_OF.values())} == {Status.NOT_ENABLED}


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ('{"79":true}', {"79"}),
        ('{"79":true,"48":true}', {"79", "48"}),
        ('{"79":true,"48":false}', {"79"}),
        ('{"79": true}', {"79"}),
        ('{"79":"true"}', {"79"}),
        ("{}", set()),
        ("{", set()),
        ("", set()),
        ('{"79":false}', set()),
        ("[79]", {"79"}),
        ('{"x":true}', set()),
    ],
)
def test_xids_in_the_json_of_a_reason(reason: str, codes: set[str]) -> None:
    bad = Condition(type="XidCriticalError", status="True", reason=reason)
    (finding,) = ask("monitors", subject(node=make_node(conditions=(READY, bad)))).findings
    assert {item.value.partition(" ")[0] for item in finding.evidence if item.key == "Xid"} == codes


@pytest.mark.parametrize(
    ("type", "reason", "severity"),
    [
        ("XidCriticalError", '{"79":tr', Severity.CRITICAL),
        ("XidCriticalError", "", Severity.CRITICAL),
        ("XIDErrors", "", Severity.WARNING),  # AKS does not say that only fatal ones are meant
        ("XidCriticalError", '{"45":true}', xids.policy(45, {}).severity),
    ],
)
def test_a_condition_for_fatal_faults_alone_is_critical_without_a_code_too(type: str, reason: str, severity: str) -> None:
    bad = Condition(type=type, status="True", reason=reason)
    (finding,) = ask("monitors", subject(node=make_node(conditions=(READY, bad)))).findings
    assert finding.severity == severity


# --- the rows of the table of signals that others write ---

ROWS: dict[str, tuple[str, ...]] = {
    "GKE, Xids": ("XidCriticalError",),
    "GKE, prediction": ("gke.google.com/recommended-to-run-large-training-workload",),
    "HyperPod": tuple(
        f"sagemaker.amazonaws.com/{key}"
        for key in ("node-health-status", "deep-health-check-status", "fault-type", "fault-reason")
    ),
    "IBM Autopilot": ("autopilot.ibm.com/gpuhealth", "autopilot.ibm.com/dcgm.level.3"),
    "AKS": ("UnhealthyNvidiaDCGMServices", "UnhealthyNvidiaDevicePlugin"),
    "NVSentinel": (
        "GPUReset", "nvsentinel-state", "dgxc.nvidia.com/nvsentinel-state", "nvsentinel.dgxc.nvidia.com/",
        "quarantineHealthEvent",
    ),
    "Slinky": ("SlurmNodeState",),
    "CoreWeave SUNK": ("sunk.coreweave.com/drain", "sunk.coreweave.com/lock"),
    "Node Readiness Controller": ("readiness.k8s.io/",),
    "Gardener, GKE maintenance": ("node.machine.sapcloud.io/", "cloud.google.com/active-node-maintenance"),
}  # fmt: skip
"""Row to its entries of the catalogue. Rows about what a node is, not how it is, are below."""


def test_every_row_is_an_entry() -> None:
    known = {type_ for _, type_ in CONDITIONS} | {signal.key for signal in CATALOG.signal}
    assert {row: [key for key in keys if key not in known] for row, keys in ROWS.items()} == {row: [] for row in ROWS}


@pytest.mark.parametrize(
    ("key", "value", "none"),
    [
        ("karpenter.k8s.gcp/instance-gpu-count", "8", "0"),
        ("karpenter.k8s.gcp/instance-gpu-name", "nvidia-h100-80gb", ""),
        ("feature.node.kubernetes.io/pci-10de_2330.present", "true", "false"),
        ("nvidia.feature.node.kubernetes.io/gpu", "true", "false"),
    ],
)
def test_rows_that_make_a_gpu_node(key: str, value: str, none: str) -> None:
    def evidence(**labels: str) -> bool:
        return bool(gpu_evidence(NodeSnapshot(name="n", uid="u", labels=labels), ()))

    assert evidence(**{key: value})
    assert not evidence(**{key: none})
    assert not evidence(other=value)


@pytest.mark.parametrize(
    ("info", "state", "expected"),
    [
        (NodeInfo(operating_system="windows"), "pod-restart-required", ""),
        (NodeInfo(kernel="5.15.153.1-microsoft-standard-WSL2"), "pod-restart-required", ""),
        (NodeInfo(operating_system="linux"), "pod-restart-required", "pod-restart-required"),
        (NodeInfo(operating_system="linux"), "", ""),
    ],
)
def test_an_upgrade_that_is_never_updated_does_not_count(info: NodeInfo, state: str, expected: str) -> None:
    labels = {"nvidia.com/gpu-driver-upgrade-state": state} if state else {}
    node = NodeSnapshot(name="n", uid="u", labels=labels, node_info=info)
    driver = (make_pod("driver", gpus=0, component="driver"),) if info.operating_system == "linux" else ()
    upgrade = driver_upgrade(node, driver, OperatorSnapshot())
    assert (upgrade.value if upgrade.phase == "in_progress" else "") == expected
