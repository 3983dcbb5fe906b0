"""What to do about a node that does not offer what it should: a few steps, with commands that only look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Step = dict[str, str]
MOST_STEPS = 3


def steps(node: Any, remarks: Iterable[str] = (), stack_pods: Sequence[Any] = ()) -> list[Step]:
    """Steps for a node (`name`, `state`) with its remarks' ids and the pods of its GPU stack (`namespace`, `name`, `component`).

    [{text, command}]; empty where there is nothing to do. No command changes a cluster, but for `kubectl uncordon`.
    """
    known = set(remarks)
    if node.state == "cordoned":
        return [_step("When the work is done, let pods in again:", f"kubectl uncordon {node.name}")]
    if node.state == "not_ready":
        return [
            _step("See what the kubelet last said:", f"kubectl describe node {node.name}"),
            _step("If it says nothing, look at the machine itself: is it up, and does it reach the API server?"),
        ]
    found: list[Step] = []
    for remark, component, text in _LOGS:
        if remark in known:
            found.append(_step(text, _logs(component, stack_pods)))
    found += [_step(text) for remark, text in _WORDS.items() if remark in known]
    if node.state in ("none", "partial"):
        found += _device_plugin(node, stack_pods)
    return found[:MOST_STEPS]


_LOGS = (
    # remark, the part of the GPU stack that says more, what to do
    ("driver_upgrade_failed", "driver", "The driver upgrade has failed. Read what the driver pod says:"),
    ("mig_config_failed", "mig-manager", "Read why the MIG layout could not be applied; most often pods still used the cards:"),
)
_WORDS = {
    "mig_invalid": "Under the single strategy all cards must be cut alike: choose one layout, or the mixed strategy.",
    "plugin_config_missing_key": "Add the key to the device plugin's ConfigMap, or change the label that names it.",
    "requested_exceeds_allocatable": "Pods below hold slots that are gone: deleted, they start anew where there is room.",
}


def _device_plugin(node: Any, stack_pods: Sequence[Any]) -> list[Step]:
    """The device plugin says in its log why a card is unhealthy, or why it found none."""
    command = _logs("device-plugin", stack_pods)
    if not command:
        return [
            _step(
                "No device plugin was seen on this node. See what runs there:",
                f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}",
            ),
            _step("Compare the node's labels with the node selector of the device plugin's DaemonSet."),
        ]
    return [
        _step("Read what the device plugin says about the cards:", command),
        _step("A card it calls unhealthy has usually logged an Xid: look for NVRM in the node's kernel log."),
    ]


def _logs(component: str, stack_pods: Sequence[Any]) -> str:
    # other vendors' parts carry their name in front: amd-device-plugin
    pod = next((pod for pod in stack_pods if pod.component.endswith(component)), None)
    return f"kubectl logs -n {pod.namespace} {pod.name} --all-containers --tail=100" if pod else ""


def _step(text: str, command: str = "") -> Step:
    return {"text": text if command or not text.endswith(":") else text[:-1] + ".", "command": command}
