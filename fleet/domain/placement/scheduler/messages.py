"""The scheduler's FailedScheduling message: written from an evaluation, and read from a pod's condition."""

from __future__ import annotations

import re
from collections import Counter

from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation

_HEAD = re.compile(r"\s*(\d{1,9})/(\d{1,9}) nodes are available: ?")
_END = re.compile(r"\.(?: no new claims to deallocate,)? preemption: |\. no new claims to deallocate|\.?(?<!\s)\s*$")
_GROUP = re.compile(r"(\d{1,9}) (.+)")
# Up to 1.35 the message named the taint: "had untolerated taint {key: value}" or "had taint {…}, that the pod didn't tolerate".
_NAMED_TAINT = re.compile(r"node\(s\) had (?:untolerated )?taint \{[^}]{0,600}\}(?:, that the pod didn't tolerate)?")
_LONGEST = 16_384


def groups_of(evaluation: PodEvaluation) -> Counter[str]:
    """Reason to the number of nodes."""
    return Counter(refusal.text for refusals in evaluation.nodes.values() for refusal in refusals)


def parse_message(message: str) -> tuple[int, dict[str, int]] | None:
    """Nodes in all, and reason to number of nodes, of a FailedScheduling message; None for any other text.

    A reason that holds for the pod on all nodes (a volume claim that does not exist) counts every node.
    """
    message = message[:_LONGEST]
    head = _HEAD.match(message)
    if head is None:
        return None
    total = int(head[2])
    rest = _NAMED_TAINT.sub("node(s) had untolerated taint(s)", message[head.end() :])
    end = _END.search(rest)
    body = rest[: end.start()] if end else rest
    groups: Counter[str] = Counter()
    for part in re.split(r", (?=\d)", body):
        group = _GROUP.fullmatch(part.strip())
        if group is not None:
            groups[group[2]] += int(group[1])
        elif part.strip():
            groups[part.strip().removesuffix(". not found")] += total
    return total, dict(groups)
