"""Adds the cluster's kubectl context to the commands of remedies."""

from __future__ import annotations

import re
import shlex

import msgspec

from fleet.domain.readiness.remedies import Part, Step

_KUBECTL = re.compile(r"\bkubectl(?=\s)(?!\s+--context)")


def in_context(command: str, cluster: str) -> str:
    """Returns the command with `--context CLUSTER` after each kubectl that names none; unchanged without a cluster."""
    if not cluster:
        return command
    named = f"kubectl --context {shlex.quote(cluster)}"
    return _KUBECTL.sub(lambda _: named, command)


def steps_in_context(steps: tuple[Step, ...], cluster: str) -> tuple[Step, ...]:
    """Returns the steps with their commands for this cluster."""
    return tuple(msgspec.structs.replace(step, parts=tuple(_part(part, cluster) for part in step.parts)) for step in steps)


def _part(part: Part, cluster: str) -> Part:
    return Part(in_context(part.text, cluster), is_command=True) if part.is_command else part


class Command(msgspec.Struct, frozen=True):
    """A command to copy, and its purpose."""

    label: str
    text: str
    changes: bool = False
    """Whether it changes the cluster. Muster itself never runs it."""


def node_commands(cluster: str, node: str) -> tuple[Command, ...]:
    """Returns the commands to run first on a broken node."""
    name = shlex.quote(node)
    rows = (
        ("Describe", f"kubectl describe node {name}", False),
        ("Pods on it", f"kubectl get pods -A -o wide --field-selector spec.nodeName={name}", False),
        ("Events", f"kubectl get events -A --field-selector involvedObject.kind=Node,involvedObject.name={name}", False),
        ("Cordon", f"kubectl cordon {name}", True),
        ("Drain", f"kubectl drain {name} --ignore-daemonsets", True),
        ("Uncordon", f"kubectl uncordon {name}", True),
    )
    return tuple(Command(label, in_context(text, cluster), changes) for label, text, changes in rows)
