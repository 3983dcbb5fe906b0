"""Consumable capacity (KEP-5075): cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import STEPS, VALUES, Cases, amount, answer, claim, device, hold, piece, request, shared, world

CASES: Cases = {
    "a request rounds up to the next step": (
        world(piece([shared("s", "8Gi", STEPS)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "6Gi"})]),
        claim(request(**amount("3Gi"))),
        {},
    ),
    "the default takes what is left": (
        world(piece([shared("s", "8Gi", STEPS)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "6Gi"})]),
        claim(request()),
        {"a": ["r:s"]},
    ),
    "above the largest allowed amount": (world(piece([shared("s", "80Gi", STEPS)])), claim(request(**amount("7Gi"))), {}),
    "the next valid value": (
        world(piece([shared("s", "8Gi", VALUES)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "4Gi"})]),
        claim(request("r", **amount("2Gi")), request("q", **amount("2Gi"))),
        {},
    ),
    "two shares of one device in a claim": (
        world(piece([shared("s", "8Gi", VALUES)])),
        claim(request("r", **amount("2Gi")), request("q", **amount("2Gi"))),
        {"a": ["r:s", "q:s"]},
    ),
    "without a policy all of it is taken": (
        world(piece([shared("s", "8Gi")]), held=[hold("s", shareID="1", consumedCapacity={"memory": "1Gi"})]),
        claim(request()),
        {},
    ),
    "a second share takes no counters again": (
        world(
            piece([shared("s", "8Gi", STEPS, uses={"g": {"x": 1}})], counters={"g": {"x": 1}}),
            held=[hold("s", shareID="1", consumedCapacity={"memory": "2Gi"})],
        ),
        claim(request()),
        {"a": ["r:s"]},
    ),
    "capacity asked of a device without it": (world(piece([device("d")])), claim(request(**amount("1Gi"))), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
