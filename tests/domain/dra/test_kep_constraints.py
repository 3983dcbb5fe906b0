"""Constraints of claims (KEP-4381, KEP-5075, KEP-5491): cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import DRIVER, STEPS, Cases, answer, claim, device, piece, request, shared, world

CASES: Cases = {
    "distinct shares are of different devices": (
        world(piece([shared("s", "8Gi", STEPS, id="s"), shared("t", "8Gi", STEPS, id="t")])),
        claim(request(count=2), distinctAttribute=f"{DRIVER}/id"),
        {"a": ["r:s", "r:t"]},
    ),
    "three distinct of two values": (
        world(piece([device("d0", n=0), device("d1", n=1), device("d2", n=1)])),
        claim(request(count=3), distinctAttribute=f"{DRIVER}/n"),
        {},
    ),
    "a device without the attribute is passed over": (
        world(piece([device("d0", n=1), device("d1"), device("d2", n=1)])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/n"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "a constraint of one request leaves the others alone": (
        world(piece([device("d0", n=1), device("d1", n=2), device("d2", n=1)])),
        claim(request("r", count=2), request("q"), requests=["r"], matchAttribute=f"{DRIVER}/n"),
        {"a": ["r:d0", "r:d2", "q:d1"]},
    ),
    "a match across drivers": (
        world(
            piece([device("g0", resource__root="r0"), device("g1", resource__root="r1")]),
            piece([device("n", resource__root="r1")], driver="nic.example.com"),
        ),
        claim(
            request("g", cel=f"device.driver == '{DRIVER}'"),
            request("n", cel="device.driver == 'nic.example.com'"),
            matchAttribute="resource/root",
        ),
        {"a": ["g:g1", "n:n"]},
    ),
    "a match of several values needs one in common": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[2]), device("d2", numa=1)])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/numa"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "one in common to all, not to each two": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[1, 2]), device("d2", numa=[2, 0])])),
        claim(request(count=3), matchAttribute=f"{DRIVER}/numa"),
        {},
    ),
    "distinct lists have nothing in common": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[1, 2]), device("d2", numa=[2, 3])])),
        claim(request(count=2), distinctAttribute=f"{DRIVER}/numa"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "an attribute of a kind that is not known": (
        world(piece([device("d0", later={"quantities": ["1"]}), {"name": "d1", "attributes": {"n": {"quantities": ["1"]}}}])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/n"),
        "unknown",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
