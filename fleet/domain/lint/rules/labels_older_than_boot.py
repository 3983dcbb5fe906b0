"""GFD wrote the node's labels before its last reboot: they may describe GPUs that are no longer installed.

`nvidia.com/gfd.timestamp` is written once when GFD starts (k8s-device-plugin, internal/lm/timestamp.go), so it can be compared
with a boot.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet.domain import labels
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, labels_of, not_enabled, unknown, waiting
from fleet.domain.quantities import parse_count

ID = "labels_older_than_boot"
# A reboot is noticed in the next run, when GFD may have started: moments this close prove no order.
NOTICED_LATE = timedelta(minutes=10)
_LATEST = 253_402_300_799  # the last second of the year 9999, the largest datetime


def check(subject: NodeSubject) -> RuleResult:
    if not labels_of(subject).is_present:
        return not_enabled(ID, "GPU feature discovery has written no labels here.")
    text = subject.node.labels.get(labels.GFD_TIMESTAMP)
    seconds = parse_count(text)
    if seconds is None or seconds > _LATEST:
        return not_enabled(ID, "GPU feature discovery writes no timestamp (noTimestamp): the age of its labels is unknown.")
    written, booted = datetime.fromtimestamp(seconds, UTC), subject.history.booted_at
    if booted is None:
        return unknown(ID, "No boot of this node was observed.")
    if written >= booted:
        return answer(ID, ())
    if not subject.clock.has_reached(booted, subject.cluster.history.boot_grace):
        return waiting(ID, "The node has just booted; GPU feature discovery may not have started yet.")
    if written > (subject.history.booted_after or booted - NOTICED_LATE):
        return unknown(ID, "The labels were written at about the time the node booted: which came first is unknown.")
    finding = Finding(
        rule=ID,
        severity=Severity.WARNING,
        text="GPU feature discovery's labels are older than the node's last reboot and may count GPUs that are missing.",
        evidence=(
            Evidence("label", labels.GFD_TIMESTAMP, f"{text} ({written:%Y-%m-%d %H:%M} UTC)"),
            Evidence("node", "bootID first seen", f"{booted:%Y-%m-%d %H:%M} UTC"),
        ),
        remedy="See why GPU feature discovery did not start after the reboot: `kubectl get pods -A -o wide "
        f"--field-selector spec.nodeName={subject.node.name}`\nIts labels are correct again once it has run.",
        rung="labels_accurate",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Labels older than the last reboot", severity=Severity.WARNING, needs=("nodes",), check=check)
