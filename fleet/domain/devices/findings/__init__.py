"""Findings on a node's devices: contradictions, missing GPUs, unknown figures.

One file per subject; each yields findings from the declarations. This module sorts them and chooses the reason for a list.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.devices.findings.device_rules import DEVICE_RULES
from fleet.domain.findings import Finding, Severity

_ORDER = {Severity.FATAL: 0, Severity.CRITICAL: 1, Severity.WARNING: 2, Severity.INFO: 3}


def sort(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns the findings, worst first; equals keep their order."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def reason(findings: Iterable[Finding]) -> str:
    """Returns the reason for a list of nodes: the worst finding that needs attention; empty without one."""
    return next((finding.text for finding in findings if not DEVICE_RULES[finding.rule].is_quiet), "")
