"""Words of the Xid pages: `{% load xid_ui %}`."""

from __future__ import annotations

from collections.abc import Mapping

from django import template

from fleet.templatetags import words

register = template.Library()

_SOURCES = {
    "muster": "Muster",
    "nvidia": "NVIDIA",
    "gpud": "gpud",
    "eks": "EKS agent",
    "plugin": "Device plugin",
    "gcm": "GCM",
    "crusoe": "Crusoe",
    "health_validation": "Health Validation",
}
_ACTIONS = {
    "none": "Nothing",
    "check_app": "Check the application",
    "restart_app": "Restart the application",
    "reset_gpu": "Reset the GPU",
    "reboot": "Reboot the node",
    "replace": "Replace the GPU",
    "contact_support": "Contact support",
    "run_diag": "Run diagnostics",
}
_RAISED = {
    "once": "a finding at once",
    "repeat": "a finding when it repeats",
    "alone": "a finding only alone",
    "never": "no finding",
}
_EFFECTS = {
    "info": "Shown only; does not change the verdict.",
    "warning": "The node is degraded; the GPU stays in use.",
    "critical": "The GPU is not usable.",
    "fatal": "The GPU is not usable and does not recover by itself.",
}

_TOLD_BY = {
    "counter": "counted by the exporter",
    "gauge": "reported by the exporter",
    "event": "reported by a monitor’s Event",
    "condition": "reported by a monitor’s condition",
}

register.filter("told_by", lambda source: _TOLD_BY.get(source, source))
register.filter("source_name", lambda name: _SOURCES.get(name, name))
register.filter("action_words", lambda action: _ACTIONS.get(action, action))
register.filter("raised_words", lambda raised: _RAISED.get(raised, raised))
register.filter("severity_effect", lambda severity: _EFFECTS.get(severity, ""))
register.filter("severity_word", lambda severity: words.word("severity", severity).word)


@register.filter
def said_by(says: Mapping[str, str], name: str) -> str:
    """Classification by one source, in its own words."""
    return says.get(name, "")
