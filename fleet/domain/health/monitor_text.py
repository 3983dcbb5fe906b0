"""What the text of a monitor names, in a condition or an Event: Xid codes, cards, the action it recommends."""

from __future__ import annotations

import re

# NvidiaXID79Error is a reason of EKS' agent in a condition, and the first word of the message in its Events
_EKS_WORD = re.compile(r"\bNvidiaXID(\d{1,4})(?:Error|Warning)\b")
# "Xid (PCI:0000:18:00): 79" is the kernel's, "XID-79" EKS' own; SXid is NVSwitch's, another number space
_XID_WORD = re.compile(r"\bXid(?:\s+(?:errors?|codes?))?(?:\s*\(PCI:[^)]*\))?\s*[-:=]?\s*(\d{1,4})\b", re.IGNORECASE)
_KERNEL_LINE = re.compile(r"\bNVRM: Xid \(PCI:[^)]*\): (\d{1,4})\b")
_ERROR_CODE = re.compile(r"\bErrorCode:(\d{1,4})\b")
_UUID = re.compile(r"\bGPU-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_PCI = re.compile(r"\b([0-9a-fA-F]{8}|[0-9a-fA-F]{4}):([0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?\b")
_ADVICE = re.compile(r"\bRecommended ?Action[=:]\s*([A-Z][A-Z_]{2,40})")


def xid_codes(text: str, *, error_codes: bool = False) -> tuple[int, ...]:
    """The Xid codes it names, in order. `error_codes`: whether NVSentinel's "ErrorCode:79" is one here."""
    found = {int(code) for code in (*_XID_WORD.findall(text), *_EKS_WORD.findall(text))}
    if error_codes:
        found |= {int(code) for code in _ERROR_CODE.findall(text)}
    return tuple(sorted(code for code in found if code))


def kernel_codes(text: str) -> tuple[int, ...]:
    """The codes in lines of the kernel's log that it quotes: what somebody merely says of an Xid is none."""
    return tuple(sorted({int(code) for code in _KERNEL_LINE.findall(text)} - {0}))


def uuids(text: str) -> tuple[str, ...]:
    """UUIDs of physical GPUs."""
    return tuple(sorted(set(_UUID.findall(text))))


def pci_places(text: str) -> set[str]:
    """domain:bus:device of every PCI address: DCGM writes the domain with eight digits, the kernel with four."""
    return {f"{int(domain, 16):x}:{rest.lower()}" for domain, rest in _PCI.findall(text)}


def advice(text: str) -> str:
    """The action it recommends, in its own word; empty where it recommends none."""
    found = _ADVICE.search(text)
    return found[1] if found else ""
