"""Remedies as steps: parsed from a remedy's text, or derived from a node's state where no rule wrote one.

In: a remedy's lines, or a node's name, state, findings and GPU stack pods. Out: Steps, each with a command to copy or none.
No command changes a cluster, except `kubectl uncordon`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

MOST_STEPS = 3


class Part(msgspec.Struct, frozen=True, gc=False):
    """A piece of a step: words, or a command to copy."""

    text: str
    is_command: bool = False


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of a remedy: words and commands in their order, and a block of lines to copy, such as lines of a counters CSV."""

    parts: tuple[Part, ...]
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Returns the words, without the commands."""
        return " … ".join(part.text for part in self.parts if not part.is_command)

    @property
    def code(self) -> str:
        """Returns the lines as one block to copy."""
        return "\n".join(self.lines)

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(part.text for part in self.parts if part.is_command)


class StackPod(Protocol):
    """A pod of the GPU stack on the node."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def component(self) -> str: ...


def parse_steps(text: str) -> tuple[Step, ...]:
    """Returns the steps in a remedy's lines.

    A command is in backticks, or follows a colon at a line's end. Lines of a counters CSV belong to the step above them.
    """
    steps: list[Step] = []
    for line in (_NUMBER.sub("", line).strip() for line in (text or "").splitlines()):
        if line.startswith(COUNTER):
            above = steps.pop() if steps else Step(())
            steps.append(msgspec.structs.replace(above, lines=(*above.lines, line)))
        elif line:
            steps.append(Step(_parts(line)))
    return tuple(steps)


def _parts(line: str) -> tuple[Part, ...]:
    if _TICKED.search(line):
        # The pattern has one group: its split returns words and commands in turn.
        parts = (Part(text.strip(), is_command=bool(place % 2)) for place, text in enumerate(_TICKED.split(line)))
        return tuple(part for part in parts if part.text)
    command = _COMMAND.search(line)
    if command is None:
        return (Part(line),)
    return Part(line[: command.start()].rstrip()), Part(command[1].strip(), is_command=True)


COUNTER = "DCGM_"
"""Prefix of a line of the exporter's counters CSV."""
_NUMBER = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+")
_TICKED = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?<=:)\s+((?:kubectl|helm|nvidia-smi|dcgmi|systemctl|sudo|modprobe|gcloud|aws|az)\s\S.*?)\.?$")


def node_steps(name: str, state: str, rules: Iterable[str] = (), stack_pods: Sequence[StackPod] = ()) -> tuple[Step, ...]:
    """Returns steps for a node in this state with these findings; empty where no action is required."""
    known = set(rules)
    if state == "cordoned":
        return (_step("When the work is done, uncordon the node:", f"kubectl uncordon {name}"),)
    if state == "not_ready":
        return (
            _step("Read the kubelet's last report:", f"kubectl describe node {name}"),
            _step("If it does not explain the cause, check that the machine is up and reaches the API server."),
        )
    steps = [_step(text, _logs(component, stack_pods)) for rule, component, text in _LOGS if rule in known]
    steps += [_step(text) for rule, text in FINDING_STEPS.items() if rule in known]
    if state in ("none", "partial"):
        steps += _device_plugin_steps(name, stack_pods)
    return tuple(steps[:MOST_STEPS])


_LOGS = (
    # rule, the part of the GPU stack whose log explains it, what to do
    ("upgrade_failed", "driver", "The driver upgrade failed. Read the driver pod's log:"),
    ("mig_config_failed", "mig-manager", "Read why the MIG layout was not applied; usually pods were still using the GPUs:"),
)
FINDING_STEPS = {
    "mig_invalid": "The single strategy needs the same layout on all GPUs: choose one layout, or the mixed strategy.",
    "plugin_config_missing_key": "Add the key to the device plugin's ConfigMap, or change the label that names it.",
    "requested_exceeds_allocatable": "Pods below hold slots that no longer exist: delete them to reschedule them elsewhere.",
}


def _device_plugin_steps(node: str, stack_pods: Sequence[StackPod]) -> list[Step]:
    """The device plugin logs why a GPU is unhealthy, or why it found none."""
    command = _logs("device-plugin", stack_pods)
    if not command:
        return [
            _step(
                "No device plugin was seen on this node. List its pods:",
                f"kubectl get pods -A -o wide --field-selector spec.nodeName={node}",
            ),
            _step("Compare the node's labels with the node selector of the device plugin's DaemonSet."),
        ]
    return [
        _step("Read the device plugin's log:", command),
        _step("An unhealthy GPU has usually logged an Xid: search the node's kernel log for NVRM."),
    ]


def _logs(component: str, stack_pods: Sequence[StackPod]) -> str:
    # other vendors' parts carry their name in front: amd-device-plugin
    pod = next((pod for pod in stack_pods if pod.component.endswith(component)), None)
    return f"kubectl logs -n {pod.namespace} {pod.name} --all-containers --tail=100" if pod else ""


def _step(text: str, command: str = "") -> Step:
    if command:
        return Step((Part(text), Part(command, is_command=True)))
    return Step((Part(f"{text[:-1]}." if text.endswith(":") else text),))
