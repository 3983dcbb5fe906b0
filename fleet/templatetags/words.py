"""The closed sets that pages show, each with its word, its shape and its look.

Ids outside a set are shown as they are written, with the look of the unknown: a new id must not break a page, nor look
healthy.
"""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """How one id is shown: the word, the shape (a symbol of components/_shapes.html) and the look (a `v-*` class)."""

    word: str
    shape: str
    look: str


VERDICTS: dict[str, Word] = {
    "ready": Word("Ready", "check", "ready"),
    "degraded": Word("Degraded", "triangle", "degraded"),
    "not_ready": Word("Not ready", "cross", "not_ready"),
    "starting": Word("Starting", "half", "starting"),
    "unknown": Word("Unknown", "query", "unknown"),
    "excluded": Word("Excluded", "pause", "excluded"),
}

STATUSES: dict[str, Word] = {
    "pass": Word("Pass", "check", "ready"),
    "warn": Word("Warn", "triangle", "degraded"),
    "fail": Word("Fail", "cross", "not_ready"),
    "waiting": Word("Waiting", "half", "starting"),
    "unknown": Word("Unknown", "query", "unknown"),
    "not_enabled": Word("Not enabled", "slash", "unknown"),
    "not_applicable": Word("Not applicable", "dash", "unknown"),
    "blocked": Word("Blocked", "lock", "unknown"),
    "waived": Word("Waived", "hollow", "unknown"),
}

SEVERITIES: dict[str, Word] = {
    "fatal": Word("Fatal", "cross", "not_ready"),
    "critical": Word("Critical", "cross", "not_ready"),
    "warning": Word("Warning", "triangle", "degraded"),
    "info": Word("Info", "info", "excluded"),
}

STATES: dict[str, Word] = {
    # what a node advertises to the scheduler, compared with what its devices predict
    "full": Word("Advertised", "check", "ready"),
    "partial": Word("Partly advertised", "triangle", "degraded"),
    "none": Word("Not advertised", "cross", "not_ready"),
    "not_ready": Word("Kubelet not ready", "cross", "not_ready"),
    "unknown": Word("Unknown", "query", "unknown"),
    "cordoned": Word("Cordoned", "pause", "excluded"),
    "removed": Word("Removed", "dash", "excluded"),
}

OUTCOMES: dict[str, Word] = {
    # outcomes of a collection run
    "ok": Word("Complete", "check", "ready"),
    "partial": Word("Partial", "triangle", "degraded"),
    "failed": Word("Failed", "cross", "not_ready"),
    "running": Word("Running", "half", "starting"),
    "lost": Word("Worker lost", "cross", "not_ready"),
    # outcomes of one section: the collectors' closed set
    "collected": Word("Collected", "check", "ready"),
    "absent": Word("Not installed", "dash", "unknown"),
    "incomplete": Word("Incomplete", "triangle", "degraded"),
    "unreachable": Word("Unreachable", "cross", "not_ready"),
    "tls": Word("TLS failed", "cross", "not_ready"),
    "unauthorised": Word("Unauthorised", "lock", "not_ready"),
    "forbidden": Word("Forbidden", "lock", "degraded"),
    "throttled": Word("Throttled", "half", "degraded"),
    "expired": Word("List expired", "triangle", "degraded"),
    "refused": Word("Refused", "cross", "not_ready"),
    "malformed": Word("Malformed answer", "cross", "not_ready"),
    "timeout": Word("Timed out", "cross", "not_ready"),
    "too_large": Word("Too large", "cross", "not_ready"),
    "skipped": Word("Skipped", "slash", "unknown"),
}

DELIVERIES: dict[str, Word] = {
    "waiting": Word("Waiting", "half", "starting"),
    "retrying": Word("Retrying", "triangle", "degraded"),
    "sent": Word("Sent", "check", "ready"),
    "failed": Word("Failed", "cross", "not_ready"),
    "suppressed": Word("Suppressed", "dash", "excluded"),
}

COMPLIANCE: dict[str, Word] = {
    "met": Word("Met", "check", "ready"),
    "none": Word("No target", "dash", "excluded"),
    "not_observed": Word("Not observed", "query", "unknown"),
    "at_risk": Word("At risk", "triangle", "degraded"),
    "violated": Word("Violated", "cross", "not_ready"),
    "full": Word("Full", "pause", "excluded"),
    "not_evaluated": Word("Not evaluated", "query", "unknown"),
}

REQUESTS: dict[str, Word] = {
    "draft": Word("Draft", "dash", "excluded"),
    "submitted": Word("Needs approval", "half", "starting"),
    "approved": Word("Approved", "hollow", "ready"),
    "active": Word("In use", "check", "ready"),
    "expiring": Word("Expiring", "triangle", "degraded"),
    "rejected": Word("Rejected", "slash", "excluded"),
    "withdrawn": Word("Withdrawn", "dash", "excluded"),
    "expired": Word("Expired", "pause", "excluded"),
}

SECTIONS = {
    "version": "Server version",
    "permissions": "Own permissions",
    "operator": "GPU operator and DaemonSets",
    "resource_slices": "ResourceSlices",
    "resource_claims": "ResourceClaims",
    "device_classes": "DeviceClasses",
    "device_taint_rules": "DeviceTaintRules",
    "readiness_rules": "NodeReadinessRules",
    "scheduling": "Scheduling objects",
    "queues": "Queues",
    "nodes": "Nodes",
    "pods": "Pods",
    "device_plugin_config": "Device plugin ConfigMaps",
    "telemetry": "Telemetry",
    "model_servers": "Model servers",
    "events": "Events of nodes",
}

SETS: dict[str, dict[str, Word]] = {
    "verdict": VERDICTS,
    "status": STATUSES,
    "severity": SEVERITIES,
    "state": STATES,
    "outcome": OUTCOMES,
    "delivery": DELIVERIES,
    "compliance": COMPLIANCE,
    "request": REQUESTS,
}


def word(kind: str, key: str | None) -> Word:
    """The Word of an id in one of the sets; None and unlisted ids look unknown."""
    if key is None or key == "":
        return Word("Unknown", "query", "unknown")
    return SETS[kind].get(key) or Word(key.replace("_", " ").capitalize(), "query", "unknown")
