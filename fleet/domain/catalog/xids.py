"""The loader of xids.toml: what an Xid code means in Muster, how other sources classify it, and which of them disagree."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from fleet.domain.evaluation.subject import XidPolicy
from fleet.domain.findings import Severity

Action = Literal["none", "check_app", "restart_app", "reset_gpu", "reboot", "replace", "contact_support", "run_diag"]
Audience = Literal["tenant", "platform", "data-centre"]
Raised = Literal["once", "repeat", "alone", "never"]

ACTIONS: dict[str, str] = {
    "none": "No action required.",
    "check_app": "Check the application for the error.",
    "restart_app": "Restart the application. If the error does not recur, the GPU is healthy.",
    "reset_gpu": "Move the work away, then reset the GPU (nvidia-smi -r, or reboot the node).",
    "reboot": "Move the work away, then reboot the node.",
    "replace": "Replace the GPU.",
    "contact_support": "Contact the vendor's support.",
    "run_diag": "Move the work away, then run DCGM's diagnostics on the GPU (dcgmi diag -r 3).",
}
"""Action to its remedy."""

_HARMLESS = frozenset({"RESTART_APP", "IGNORE", "CHECK_UVM", "event", "ignored", "non-critical", "degraded"})
_BROKEN = frozenset(
    {
        "RESET_GPU", "RESTART_BM", "RESTART_VM", "WORKFLOW_XID_48", "WORKFLOW_NVLINK_ERR", "CHECK_MECHANICALS",
        "CONTACT_SUPPORT", "UPDATE_SWFW", "fatal", "unhealthy", "critical",
    }
)  # fmt: skip
SOURCES = ("nvidia", "gpud", "eks", "plugin", "gcm", "crusoe", "health_validation")


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """Policy of codes that are not in the catalogue."""

    name: str
    severity: Severity
    action: Action
    audience: Audience
    raised: Raised
    family: str = "other"
    repeat: int = 0
    """Bursts on one GPU within a day that make a finding, with `raised = repeat`; 0: the default of thresholds.toml."""
    note: str = ""


class Xid(Meaning, frozen=True, kw_only=True):
    """One code."""

    code: int
    nvidia: str = ""
    nvidia_then: str = ""
    gpud: str = ""
    eks: str = ""
    plugin: str = ""
    gcm: str = ""
    crusoe: str = ""
    health_validation: str = ""

    @property
    def says(self) -> dict[str, str]:
        """Source to its classification, without sources that have none."""
        fields = {name: str(getattr(self, name)) for name in SOURCES}
        return {name: words for name, words in fields.items() if words}


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All of xids.toml."""

    xid: tuple[Xid, ...]
    source: dict[str, str]
    unknown: Meaning


@cache
def load() -> Catalog:
    """Returns the catalogue that ships with Muster; a malformed file fails loudly."""
    text = resources.files(__package__).joinpath("xids.toml").read_bytes()
    return msgspec.toml.decode(text, type=Catalog)


@cache
def by_code() -> dict[int, Xid]:
    """Code to its entry, in ascending order."""
    return {xid.code: xid for xid in sorted(load().xid, key=lambda xid: xid.code)}


def meaning(code: int) -> Meaning:
    """Returns the catalogue's entry for a code; the policy [unknown] for other codes."""
    return by_code().get(code) or load().unknown


def policy(code: int, overrides: Mapping[int, XidPolicy] | None = None) -> XidPolicy:
    """What a code means for a node: an operator's decision where there is one, else the catalogue's.

    An override names severity and action; name and audience stay the catalogue's.
    """
    known, decided = meaning(code), (overrides or {}).get(code)
    return XidPolicy(
        code=code,
        name=known.name,
        severity=decided.severity if decided else known.severity.value,
        action=(decided.action if decided else "") or known.action,
        audience=known.audience,
        overridden=decided is not None,
    )


def disagreeing(code: int, severity: str) -> tuple[str, ...]:
    """Returns the sources that disagree with `severity` about a code: whether the GPU is broken or not.

    Info and warning leave the GPU in use; critical and fatal do not. Classifications that state neither (a workflow by sub-code,
    "unused") do not disagree.
    """
    known = by_code().get(code)
    if known is None:
        return ()
    broken = severity in (Severity.CRITICAL, Severity.FATAL)
    return tuple(
        name for name, words in known.says.items() if (side := _calls_broken(name, words)) is not None and side != broken
    )


def _calls_broken(source: str, words: str) -> bool | None:
    """Returns whether a source's classification means a broken GPU; None where it states neither."""
    word = words.split(":", 1)[0]
    if source == "gpud":
        return word == "fatal"
    if word in _BROKEN:
        return True
    return False if word in _HARMLESS else None
