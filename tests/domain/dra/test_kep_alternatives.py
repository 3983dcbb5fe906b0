"""Prioritised lists (KEP-4816) and mode All: cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import (
    DRIVER,
    PLAIN,
    STEPS,
    TAINT,
    Cases,
    amount,
    answer,
    claim,
    device,
    either,
    hold,
    piece,
    request,
    shared,
    world,
)

CASES: Cases = {
    # prioritised list (KEP-4816)
    "the second alternative where the first is not there": (
        world(piece(PLAIN), held=[hold("d0")]),
        claim(either(request("big", "big"), request("other", "any"))),
        {"a": ["r/other:d1"]},
    ),
    "back to the second alternative for a later request": (
        world(piece([device("d0", kind="big"), device("d1", kind="small")])),
        claim(either(request("big", "big"), request("other")), request("q", "big")),
        {"a": ["r/other:d1", "q:d0"]},
    ),
    "a share that is needed later is given back": (
        world(piece([shared("s", "4Gi", STEPS), device("d0")])),
        claim(either(request("share", **amount("4Gi")), request("other")), request("q", **amount("4Gi"))),
        {"a": ["r/other:d0", "q:s"]},
    ),
    "an alternative of more devices than a claim may have": (
        world(piece([device(f"d{number:02}") for number in range(40)])),
        claim(either(request("many", count=33), request("few"))),
        {"a": ["r/few:d00"]},
    ),
    "more devices than a claim may have": (
        world(piece([device(f"d{number:02}") for number in range(40)])),
        claim(request(count=20), request("q", count=13)),
        "error",
    ),
    "a constraint may name one alternative": (
        world(piece([device("d0", kind="big", n=1), device("d1", kind="small", n=2), device("d2", kind="small", n=1)])),
        claim(
            either(request("big", "big"), request("other")),
            request("q", cel=f"device.attributes['{DRIVER}'].kind == 'small'"),
            requests=["r/big", "q"],
            matchAttribute=f"{DRIVER}/n",
        ),
        {"a": ["r/big:d0", "q:d2"]},
    ),
    # mode All
    "All with a tainted device": (
        world(piece([device("d0"), device("d1", taints=TAINT)])),
        claim(request(allocationMode="All")),
        {},
    ),
    "All that a selector admits, another request beside": (
        world(piece([device("d0", kind="big"), device("d1", kind="small")])),
        claim(request("all", "big", allocationMode="All"), request("q")),
        {"a": ["all:d0", "q:d1"]},
    ),
    "All where another pool of the node is incomplete": (
        world(piece([device("d0")]), piece([device("e")], pool="q", of=2)),
        claim(request(allocationMode="All")),
        "error",
    ),
    "one device where another pool of the node is incomplete": (
        world(piece([device("d0")]), piece([device("e")], pool="q", of=2)),
        claim(request()),
        {"a": ["r:d0"]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
