"""Parser of monitors' texts in conditions and Events: Xid codes, GPUs, recommended action."""

from __future__ import annotations

import re

# NvidiaXID79Error is a reason of EKS' agent in a condition, and the first word of the message in its Events
_EKS_WORD = re.compile(r"\bNvidiaXID(\d{1,4})(?:Error|Warning)\b")
# "Xid (PCI:0000:18:00): 79" is the kernel's, "XID-79" EKS' own; SXid is NVSwitch's, another number space
# Every repetition is bounded: a text made to be slow costs no more than a long one.
_XID_WORD = re.compile(
    r"\bXid(?:\s{1,3}(?:errors?|codes?))?(?:\s{0,3}\(PCI:[^)]{0,40}\))?\s{0,3}[-:=]?\s{0,3}(\d{1,4})\b", re.IGNORECASE
)
_KERNEL_LINE = re.compile(r"\bNVRM: Xid \(PCI:[^)]{0,40}\): (\d{1,4})\b")
_ERROR_CODE = re.compile(r"\bErrorCode:(\d{1,4})\b")
# GKE's condition XidCriticalError has a JSON object as its reason: {"79":true}
_JSON_CODE = re.compile(r'"(\d{1,4})"\s{0,3}:\s{0,3}(?:true\b|"true")', re.IGNORECASE)
_JSON_LIST = re.compile(r"\A\s{0,3}\[\s{0,3}(\d{1,4}(?:\s{0,3},\s{0,3}\d{1,4}){0,31})\s{0,3}\]")
_UUID = re.compile(r"\bGPU-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_PCI = re.compile(r"\b([0-9a-fA-F]{8}|[0-9a-fA-F]{4}):([0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?\b")
_ADVICE = re.compile(r"\bRecommended ?Action[=:]\s{0,3}([A-Z][A-Z_]{2,40})")


def xid_codes(text: str, *, error_codes: bool = False) -> tuple[int, ...]:
    """Returns the Xid codes in a text, in order. `error_codes`: NVSentinel's "ErrorCode:79" and GKE's {"79":true} are Xids."""
    rows = {int(code) for code in (*_XID_WORD.findall(text), *_EKS_WORD.findall(text))}
    if error_codes:
        rows |= {int(code) for code in (*_ERROR_CODE.findall(text), *_JSON_CODE.findall(text))}
        listed = _JSON_LIST.match(text)
        rows |= {int(code) for code in listed[1].split(",")} if listed else set()
    return tuple(sorted(code for code in rows if code))


def kernel_codes(text: str) -> tuple[int, ...]:
    """Returns the Xid codes in quoted lines of the kernel's log; an Xid merely mentioned does not count."""
    return tuple(sorted({int(code) for code in _KERNEL_LINE.findall(text)} - {0}))


def uuids(text: str) -> tuple[str, ...]:
    """Returns the UUIDs of physical GPUs in a text."""
    return tuple(sorted(set(_UUID.findall(text))))


def pci_places(text: str) -> set[str]:
    """Returns domain:bus:device of every PCI address: DCGM writes the domain with eight digits, the kernel with four."""
    return {f"{int(domain, 16):x}:{rest.lower()}" for domain, rest in _PCI.findall(text)}


def advice(text: str) -> str:
    """Returns the recommended action as the text writes it; empty where there is none."""
    result = _ADVICE.search(text)
    return result[1] if result else ""
