"""Odd pods, each with the nodes that kube-scheduler 1.36 finds feasible by its filters. None: the API server refuses it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, Taint
from tests.domain.placement.scheduler.test_evaluate import HOST, ZONE, ask, node, pod

Feasible = tuple[str, ...] | None


def nodes() -> list[NodeSnapshot]:
    """n1: plain, zone a; n2: tainted, zone b, RDMA, huge pages; n3: cordoned, zone b; n4: no zone, 1 CPU, a word as rank."""
    plain = node("n1", "a")
    rich = node("n2", "b", **{"rdma/hca": "2", "hugepages-2Mi": "4Gi"})
    taints = (Taint("nvidia.com/gpu", "present", "NoSchedule"), Taint("soft", "", "PreferNoSchedule"))
    cordoned = replace(node("n3", "b"), unschedulable=True, taints=(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),))
    small = node("n4", cpu="1")
    return [
        replace(plain, labels={**plain.labels, "rank": "5", "tier": ""}),
        replace(rich, labels={**rich.labels, "rank": "10"}, taints=taints),
        cordoned,
        replace(small, labels={**small.labels, "rank": "high"}, taints=(Taint("gone", "", "NoExecute"),)),
    ]


def running() -> list[PodSnapshot]:
    return [
        pod("containers: [{name: m, resources: {limits: {nvidia.com/gpu: 6}}}]", on="n1", name="six", app="store"),
        replace(
            pod("containers: [{name: m, resources: {limits: {nvidia.com/gpu: 8}}}]", on="n2", name="done"), phase="Succeeded"
        ),
        pod("containers: [{name: m, ports: [{containerPort: 80, hostPort: 80, hostIP: 10.0.0.1}]}]", on="n1", name="port"),
    ]


ALL = "tolerations: [{operator: Exists}]\n"
AFFINITY = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: TERMS}}}\n" + ALL
PODS: dict[str, tuple[str, Feasible]] = {
    "nothing special": ("", ("n1",)),
    "tolerates everything, the cordon too": (ALL, ("n1", "n2", "n3", "n4")),
    "an empty key needs Exists": ("tolerations: [{operator: Equal, value: x}]", None),
    "Exists with a value": ("tolerations: [{key: nvidia.com/gpu, operator: Exists, value: x}]", None),
    "no operator is Equal": ("tolerations: [{key: nvidia.com/gpu, value: present}]", ("n1", "n2")),
    "Equal with another value": ("tolerations: [{key: nvidia.com/gpu, value: 'true'}]", ("n1",)),
    "Equal without a value": ("tolerations: [{key: gone, operator: Equal}]", ("n1", "n4")),
    "a toleration of one effect only": ("tolerations: [{operator: Exists, effect: NoExecute}]", ("n1", "n4")),
    "the cordon's taint by name": ("tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}]", ("n1", "n3")),
    "the cordon's taint with another effect": (
        "tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists, effect: NoExecute}]",
        ("n1",),
    ),
    "an empty label value is a value": ("nodeSelector: {tier: ''}\n" + ALL, ("n1",)),
    "a selector of a label that no node has": ("nodeSelector: {nowhere: ''}\n" + ALL, ()),
    "NotIn also without the label": (
        AFFINITY.replace("TERMS", "[{matchExpressions: [{key: tier, operator: NotIn, values: [x]}]}]"),
        ("n1", "n2", "n3", "n4"),
    ),
    "Gt compares whole numbers and skips words": (
        AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Gt, values: ['5']}]}]"),
        ("n2",),
    ),
    "Lt below exactly": (AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Lt, values: ['10']}]}]"), ("n1",)),
    "Gt with a word matches nothing": (
        AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Gt, values: [many]}]}]"),
        (),
    ),
    "an empty term matches nothing, the other one does": (
        AFFINITY.replace("TERMS", "[{}, {matchFields: [{key: metadata.name, operator: In, values: [n2]}]}]"),
        ("n2",),
    ),
    "expressions and fields of a term are ANDed": (
        AFFINITY.replace(
            "TERMS",
            "[{matchExpressions: [{key: rank, operator: Exists}],"
            " matchFields: [{key: metadata.name, operator: In, values: [n3]}]}]",
        ),
        (),
    ),
    "no term at all": (AFFINITY.replace("TERMS", "[]"), None),
    "selector and affinity are ANDed": (
        "nodeSelector: {topology.kubernetes.io/zone: b}\n"
        + AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Exists}]}]"),
        ("n2",),
    ),
    "exactly what is left": (ALL + "containers: [{name: m, resources: {limits: {nvidia.com/gpu: 2}}}]", ("n1", "n2", "n3", "n4")),
    "one more than is left": (ALL + "containers: [{name: m, resources: {limits: {nvidia.com/gpu: 3}}}]", ("n2", "n3", "n4")),
    "zero of a resource that no node has": (
        ALL + "containers: [{name: m, resources: {limits: {amd.com/gpu: 0, nvidia.com/gpu: 1}}}]",
        ("n1", "n2", "n3", "n4"),
    ),
    "RDMA beside the GPU": (ALL + "containers: [{name: m, resources: {limits: {rdma/hca: 1, nvidia.com/gpu: 1}}}]", ("n2",)),
    "init containers count as the largest": (
        ALL + "initContainers: [{name: a, resources: {limits: {nvidia.com/gpu: 3}}},"
        " {name: b, resources: {limits: {nvidia.com/gpu: 2}}}]\n"
        "containers: [{name: m, resources: {limits: {nvidia.com/gpu: 1}}}]",
        ("n2", "n3", "n4"),
    ),
    "a sidecar stays and counts beside the containers": (
        ALL + "initContainers: [{name: s, restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}]\n"
        "containers: [{name: m, resources: {limits: {nvidia.com/gpu: 2}}}]",
        ("n2", "n3", "n4"),
    ),
    "a sidecar after an init container does not count at its start": (
        ALL + "initContainers: [{name: a, resources: {limits: {nvidia.com/gpu: 2}}},"
        " {name: s, restartPolicy: Always, resources: {limits: {nvidia.com/gpu: 1}}}]\n"
        "containers: [{name: m, resources: {limits: {nvidia.com/gpu: 1}}}]",
        ("n1", "n2", "n3", "n4"),
    ),
    "a limit alone is the request": (ALL + "containers: [{name: m, resources: {limits: {cpu: '2'}}}]", ("n1", "n2", "n3")),
    "a request below its limit counts": (
        ALL + "containers: [{name: m, resources: {requests: {cpu: 1}, limits: {cpu: '2'}}}]",
        ("n1", "n2", "n3", "n4"),
    ),
    "an exponent is CPU as well": (ALL + "containers: [{name: m, resources: {requests: {cpu: 15e-1}}}]", ("n1", "n2", "n3")),
    "overhead counts": (
        ALL + "overhead: {cpu: 500m}\ncontainers: [{name: m, resources: {requests: {cpu: 600m}}}]",
        ("n1", "n2", "n3"),
    ),
    "pod-level resources replace those of containers": (
        ALL + "resources: {requests: {cpu: '2'}}\ncontainers: [{name: m, resources: {requests: {cpu: 100m}}}]",
        ("n1", "n2", "n3"),
    ),
    "huge pages of a size no other node has": (
        ALL + "containers: [{name: m, resources: {requests: {memory: 1Gi, hugepages-2Mi: 4Gi}, limits: {hugepages-2Mi: 4Gi}}}]",
        ("n2",),
    ),
    "huge pages one page above": (
        ALL
        + "containers: [{name: m, resources: {requests: {memory: 1Gi, hugepages-2Mi: 4098Mi}, limits: {hugepages-2Mi: 4098Mi}}}]",
        (),
    ),
    "a port on another address is free": (
        ALL + "containers: [{name: m, ports: [{containerPort: 80, hostPort: 80, hostIP: 10.0.0.2}]}]",
        ("n1", "n2", "n3", "n4"),
    ),
    "a port on every address is not": (
        ALL + "containers: [{name: m, ports: [{containerPort: 80, hostPort: 80}]}]",
        ("n2", "n3", "n4"),
    ),
    "nor the same address": (
        ALL + "containers: [{name: m, ports: [{containerPort: 80, hostPort: 80, hostIP: 10.0.0.1}]}]",
        ("n2", "n3", "n4"),
    ),
    "another protocol is": (
        ALL + "containers: [{name: m, ports: [{containerPort: 80, hostPort: 80, protocol: UDP}]}]",
        ("n1", "n2", "n3", "n4"),
    ),
    "affinity to a pod of the zone": (
        ALL + f"affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {ZONE},"
        " labelSelector: {matchLabels: {app: store}}}]}}",
        ("n1",),
    ),
    "affinity to itself where no pod matches: any node with the label": (
        ALL + f"affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {ZONE},"
        " labelSelector: {matchLabels: {own: 'yes'}}}]}}",
        ("n1", "n2", "n3"),
    ),
    "affinity without a selector matches no pod": (
        ALL + f"affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {HOST}}}]}}}}",
        (),
    ),
    "an empty selector matches every pod of the namespace": (
        ALL + f"affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: {HOST},"
        " labelSelector: {}}]}}",
        ("n2", "n3", "n4"),
    ),
    "an exponent and a suffix": (ALL + "containers: [{name: m, resources: {requests: {cpu: 15e2m}}}]", None),
    "huge pages without cpu or memory": (
        ALL + "containers: [{name: m, resources: {limits: {hugepages-2Mi: 4Gi, nvidia.com/gpu: 1}}}]",
        None,
    ),
    "In without values": (AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: In}]}]"), None),
    "Exists with values": (AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Exists, values: [x]}]}]"), None),
    "Gt with two values": (
        AFFINITY.replace("TERMS", "[{matchExpressions: [{key: rank, operator: Gt, values: ['1', '2']}]}]"),
        None,
    ),
    "a field that is not the name": (
        AFFINITY.replace("TERMS", "[{matchFields: [{key: spec.unschedulable, operator: In, values: ['true']}]}]"),
        None,
    ),
    "anti-affinity without a topology key": (
        ALL + "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}}]}}",
        None,
    ),
    "a skew of zero": (
        ALL + f"topologySpreadConstraints: [{{topologyKey: {ZONE}, maxSkew: 0, whenUnsatisfiable: DoNotSchedule}}]",
        None,
    ),
    "preferences keep nothing out": (
        ALL + f"affinity: {{podAntiAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 100, podAffinityTerm:"
        f" {{topologyKey: {HOST}, labelSelector: {{}}}}}}]}}}}",
        ("n1", "n2", "n3", "n4"),
    ),
    "spread by a label that a node lacks": (
        ALL + f"topologySpreadConstraints: [{{topologyKey: {ZONE}, maxSkew: 1, whenUnsatisfiable: DoNotSchedule,"
        " labelSelector: {matchLabels: {own: 'yes'}}}]",
        ("n1", "n2", "n3"),
    ),
    "ScheduleAnyway keeps nothing out": (
        ALL + f"topologySpreadConstraints: [{{topologyKey: {ZONE}, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway,"
        " labelSelector: {matchLabels: {own: 'yes'}}}]",
        ("n1", "n2", "n3", "n4"),
    ),
}


@pytest.mark.parametrize("name", PODS)
def test_an_odd_pod_finds_the_nodes_that_the_scheduler_finds(name: str) -> None:
    spec, feasible = PODS[name]
    answer = ask(pod(spec, own="yes"), nodes(), *running())
    assert answer.feasible == feasible, (answer.refused, answer.not_modelled, answer.nodes)
    assert bool(answer.refused) is (feasible is None)
