"""Text out of a cluster is hostile: every expression over it takes time that grows with the length and no faster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from fleet.domain.health import monitor_text

READERS: tuple[Callable[[str], object], ...] = (
    lambda text: monitor_text.xid_codes(text, error_codes=True),
    monitor_text.kernel_codes,
    monitor_text.uuids,
    monitor_text.pci_places,
    monitor_text.advice,
)
PIECES = (
    " ", "\t", "Xid ", "Xid" + " " * 50, "Xid (PCI:", "Xid errors ", "NVRM: Xid (PCI:", "GPU-", "GPU-00000000-0000-", "0000:",
    "0000:00:00", "RecommendedAction= ", "NvidiaXID", "ErrorCode:", "(", "1", "a", "\u00e9",
)  # fmt: skip
MOST_S_PER_BYTE = 2e-6
"""A linear expression takes a hundredth of it; the cubic one before took 16 s for 20,000 blanks, 8e-4 a byte."""


@pytest.mark.parametrize("piece", PIECES)
def test_time_per_byte_is_bounded(piece: str) -> None:
    text = (piece * (20_000 // len(piece) + 1))[:20_000]
    for prefix in ("", "Xid", "Xid ("):
        for reader in READERS:
            started = time.process_time()
            reader(prefix + text)
            assert (time.process_time() - started) / len(text) < MOST_S_PER_BYTE, (prefix, piece, reader)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Xid 79", (79,)), ("Xid: 79", (79,)), ("XID-48", (48,)), ("Xid errors: 31", (31,)),
        ("Xid (PCI:0000:18:00): 79, pid=1", (79,)),
        ("xid  code = 13", (13,)), ("SXid 20034", ()), ("NvidiaXID79Error", (79,)),
    ],
)  # fmt: skip
def test_the_codes_are_still_read(text: str, codes: tuple[int, ...]) -> None:
    assert monitor_text.xid_codes(text) == codes
