"""Taking away a whole source never turns an answer that did not pass into one that does; and no node makes a rule fail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.evaluation.rules import run, run_cluster
from fleet.domain.evaluation.subject import NodeHistory, NodeSubject
from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import CLUSTER_RULES, RULES
from fleet.domain.snapshot import Taint
from tests.builders import H100, make_allocation, make_container, make_dra_device, make_node, make_plugin_config, make_pod
from tests.domain.lint.subjects import exporter, sample, subject_of, without_labels

SHAPES: dict[str, dict[str, Any]] = {
    "whole": {},
    "sliced": {"sharing": "time-slicing", "replicas": 4},
    "mps": {"sharing": "mps", "replicas": 8, "product": "NVIDIA-L40S"},
    "single": {"mig": "1g.10gb"},
    "mixed": {"mig": {"1g.10gb": 16, "3g.40gb": 8}},
    "renamed": {"sharing": "time-slicing", "replicas": 4, "renamed": True},
    "bare": {"gfd": False},
}
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "unhealthy": {"allocatable": {"nvidia.com/gpu": 3}},
    "half": {"capacity": {"nvidia.com/gpu": 4}},
    "double": {"capacity": {"nvidia.com/gpu": 16}},
    "nothing": {"allocatable": {"nvidia.com/gpu": 0}},
    "stale mig": {"capacity": {"nvidia.com/mig-1g.5gb": 0}},
    "phantom mig": {"capacity": {"nvidia.com/mig-1g.5gb": 7}},
    "fewer by label": {"labels": {"nvidia.com/gpu.count": "6"}},
    "mig failed": {"labels": {"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/mig.config.state": "failed"}},
    "mig invalid": {"labels": {"nvidia.com/gpu.product": f"{H100}-MIG-INVALID", "nvidia.com/gpu.count": "0"}},
    "no number": {"labels": {"nvidia.com/gpu.count": "many"}},
    "no replicas": {"labels": {"nvidia.com/gpu.replicas": None, "nvidia.com/gpu.sharing-strategy": None}},
    "wrong key": {"labels": {"nvidia.com/device-plugin.config": "not-there"}},
    "old labels": {"labels": {"nvidia.com/gfd.timestamp": "1700000000"}},
    "kubelet": {"ready": "Unknown"},
    "upgrade failed": {"labels": {"nvidia.com/gpu-driver-upgrade-state": "upgrade-failed"}},
    "ordered more": {"labels": {"karpenter.k8s.aws/instance-gpu-count": "16"}},
    "tainted": {"taints": (Taint("nvidia.com/gpu", "present", "NoSchedule"),)},
}
PLUGINS = [
    None,
    make_plugin_config(),
    make_plugin_config(sharing="time-slicing", replicas=4),
    make_plugin_config(sharing="mps", replicas=8),
]
PODS = [
    (),
    (make_pod("train", gpus=2),),
    (make_pod("train", gpus=9),),
    (
        make_pod("web", gpus=0, owner_kind="ReplicaSet"),
        make_pod("all", gpus=0, containers=[make_container(visible_devices="all")]),
    ),
    tuple(make_pod(name, gpus=0, component="dcgm-exporter", owner_kind="DaemonSet", owner_name=name) for name in ("a", "b")),
]
DRA = [
    (),
    tuple(make_dra_device(number) for number in range(8)),
    tuple(make_dra_device(number) for number in range(6)),
    (make_dra_device(0), make_dra_device(1, product="NVIDIA A10G", taints=(Taint("gpu.nvidia.com/xid", "79", "NoSchedule"),))),
]
SAMPLES = [
    (),
    tuple(sample(number) for number in range(8)),
    (sample(0, values={"gpu_util": 80.0}), sample(1, model="NVIDIA A10G", pod="team-a/train")),
    (sample(0, values={"power": 70.0}, age_s=3600),),
]
EXPORTERS = [(), (exporter("gpu_util", "xid"),)]
MEMORIES = [NodeHistory(), NodeHistory(expected=8), NodeHistory(expected=16, booted_at=sample(0, age_s=7200).at)]


# What GFD writes; the operator's and people's own labels (deploy, present, mig.config, device-plugin.config) are no part of it.
GFD = re.compile(r"nvidia\.com/(gfd|cuda|vgpu|mps|mig-|mig\.(capable|strategy)|gpu\.(?!present|deploy))")


@st.composite
def subjects(draw: Any) -> NodeSubject:
    shape, fault = (dict(draw(st.sampled_from(list(some.values())))) for some in (SHAPES, FAULTS))
    dra = draw(st.sampled_from(DRA))
    return subject_of(
        make_node(**(shape | fault)),
        pods=draw(st.sampled_from(PODS)),
        plugin=draw(st.sampled_from(PLUGINS)),
        dra=dra,
        allocations=[make_allocation(dra[0])] if dra and draw(st.booleans()) else (),
        samples=draw(st.sampled_from(SAMPLES)),
        exporters=draw(st.sampled_from(EXPORTERS)),
        history=draw(st.sampled_from(MEMORIES)),
        node_count=draw(st.sampled_from([None, 1, 100])),
    )


def seen_again(subject: NodeSubject, *, without: str) -> NodeSubject:
    """The same node looked at when one source says nothing: a section that is refused, an exporter that is gone, labels away."""
    snapshot, node = subject.cluster.snapshot, subject.node
    if without == "gfd":
        node = structs.replace(node, labels={key: value for key, value in node.labels.items() if not GFD.match(key)})
    elif without == "cloud labels":
        node = structs.replace(node, labels=dict(without_labels(node, "karpenter.k8s.aws/")))
    gone = without == "telemetry"
    return subject_of(
        node,
        pods=snapshot.pods,
        plugin=snapshot.device_plugin,
        dra=snapshot.slices.devices,
        allocations=snapshot.allocations,
        samples=() if gone else snapshot.telemetry.samples,
        exporters=() if gone else snapshot.telemetry.exporters,
        history=subject.history,
        node_count=snapshot.node_count,
        unread=[without] if without in snapshot.sections else [],
    )


SOURCES = ["gfd", "telemetry", "nodes", "pods", "device_plugin_config", "resource_slices", "resource_claims"]
# The cloud's labels only say what was ordered: taken away, a number that contradicts them stands uncontradicted, by right.
WITHOUT_A_SECOND_OPINION = {"cloud labels": {"expected_not_met", "labels_disagree"}}


@pytest.mark.slow
@settings(max_examples=400)
@given(subject=subjects(), source=st.sampled_from([*SOURCES, "cloud labels"]))
def test_less_evidence_never_makes_a_rule_pass(subject: NodeSubject, source: str) -> None:
    blinded = seen_again(subject, without=source)
    before = {item.rule: item.status for item in (*run(RULES, subject), *run_cluster(CLUSTER_RULES, [subject, subject]))}
    after = {entry.rule: entry.status for entry in (*run(RULES, blinded), *run_cluster(CLUSTER_RULES, [blinded, blinded]))}
    improved = {rule for rule, status in after.items() if status == Status.PASS and before[rule] != Status.PASS}
    assert improved <= WITHOUT_A_SECOND_OPINION.get(source, set()), f"without {source}"


@pytest.mark.slow
@settings(max_examples=200)
@given(subject=subjects())
def test_every_finding_is_whole_and_stands_once(subject: NodeSubject) -> None:
    for result in (*run(RULES, subject), *run_cluster(CLUSTER_RULES, [subject, subject])):
        assert "failed (" not in result.reason
        assert bool(result.findings) == (result.status in (Status.WARN, Status.FAIL))
        keys = [finding.key for finding in result.findings]
        assert len(set(keys)) == len(keys)
        for finding in result.findings:
            assert finding.rule == result.rule
            assert finding.evidence
            assert finding.remedy
            assert len(finding.key) <= 300
            assert finding.severity in set(Severity)
