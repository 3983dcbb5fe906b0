"""Rebuilds a NodeSnapshot from the facts of a revision."""

from __future__ import annotations

from fleet.domain.history.facts import Facts
from fleet.domain.snapshot import Condition, NodeInfo, NodeSnapshot, Taint


def node_from_facts(name: str, uid: str, facts: Facts) -> NodeSnapshot:
    """Returns the node of a revision.

    What a revision does not store stays empty: annotations, images, the reasons and messages of conditions, memory sizes.
    """
    result = facts.get("node", {})
    return NodeSnapshot(
        name=name,
        uid=uid,
        labels=dict(facts.get("labels", {})),
        taints=tuple(_taint(key, value) for key, value in facts.get("taints", {}).items()),
        unschedulable=result.get("unschedulable") == "true",
        provider_id=result.get("provider_id", ""),
        capacity=dict(facts.get("capacity", {})),
        allocatable=dict(facts.get("allocatable", {})),
        conditions=tuple(Condition(type=key, status=status) for key, status in facts.get("conditions", {}).items()),
        node_info=NodeInfo(
            kernel=result.get("kernel", ""),
            os_image=result.get("os_image", ""),
            container_runtime=result.get("container_runtime", ""),
            kubelet=result.get("kubelet", ""),
            architecture=result.get("architecture", ""),
            boot_id=result.get("boot_id", ""),
        ),
    )


def _taint(key: str, value: str) -> Taint:
    name, _, effect = key.rpartition(":")
    return Taint(name, value, effect)
