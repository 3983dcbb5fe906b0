"""A node as its kept facts tell it: the way back from a revision to a NodeSnapshot."""

from __future__ import annotations

from fleet.domain.facts import Facts
from fleet.domain.snapshot import Condition, NodeInfo, NodeSnapshot, Taint


def node_from_facts(name: str, uid: str, facts: Facts) -> NodeSnapshot:
    """What a revision does not keep stays empty: annotations, images, the reasons and messages of conditions, memory sizes."""
    told = facts.get("node", {})
    return NodeSnapshot(
        name=name,
        uid=uid,
        labels=dict(facts.get("labels", {})),
        taints=tuple(_taint(key, value) for key, value in facts.get("taints", {}).items()),
        unschedulable=told.get("unschedulable") == "true",
        provider_id=told.get("provider_id", ""),
        capacity=dict(facts.get("capacity", {})),
        allocatable=dict(facts.get("allocatable", {})),
        conditions=tuple(Condition(type=key, status=status) for key, status in facts.get("conditions", {}).items()),
        node_info=NodeInfo(
            kernel=told.get("kernel", ""),
            os_image=told.get("os_image", ""),
            container_runtime=told.get("container_runtime", ""),
            kubelet=told.get("kubelet", ""),
            architecture=told.get("architecture", ""),
            boot_id=told.get("boot_id", ""),
        ),
    )


def _taint(key: str, value: str) -> Taint:
    name, _, effect = key.rpartition(":")
    return Taint(name, value, effect)
