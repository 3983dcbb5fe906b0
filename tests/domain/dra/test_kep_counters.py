"""Partitionable devices (KEP-4815): cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import (
    DRIVER,
    ONE,
    SEVEN,
    THREE,
    Cases,
    answer,
    claim,
    device,
    hold,
    piece,
    request,
    world,
)

CASES: Cases = {
    "parts of one GPU in one claim": (
        world(
            piece(
                [device("w", uses=SEVEN), device("t0", uses=THREE), device("t1", uses=THREE), device("o", uses=ONE)],
                counters=SEVEN,
            )
        ),
        claim(request("x", cel="true", count=2)),
        {"a": ["x:t0", "x:t1"]},
    ),
    "a part leaves no whole": (
        world(piece([device("w", kind="big", uses=SEVEN), device("t0", uses=THREE)], counters=SEVEN), held=[hold("t0")]),
        claim(request(cel=f"has(device.attributes['{DRIVER}'].kind)")),
        {},
    ),
    "a device of two counter sets": (
        world(
            piece(
                [device("pair", uses={"g0": {"x": 1}, "g1": {"x": 1}}), device("one", uses={"g1": {"x": 1}})],
                counters={"g0": {"x": 1}, "g1": {"x": 1}},
            ),
            held=[hold("one")],
        ),
        claim(request()),
        {},
    ),
    "counters are shared by the nodes of a pool": (
        world(
            piece(
                [
                    {**device("on-a", uses={"g": {"x": 1}}), "nodeName": "a"},
                    {**device("on-b", uses={"g": {"x": 1}}), "nodeName": "b"},
                ],
                on={"perDeviceNodeSelection": True},
                counters={"g": {"x": 1}},
            ),
            held=[hold("on-a")],
        ),
        claim(request()),
        {},
    ),
    "counters that no set has make the pool invalid": (
        world(piece([device("d", uses={"g": {"y": 1}}), device("free")], counters={"g": {"x": 1}})),
        claim(request()),
        {},
    ),
    "more than the whole counter is never had": (
        world(piece([device("d", uses={"g": {"x": 2}}), device("e", uses={"g": {"x": 1}})], counters={"g": {"x": 1}})),
        claim(request(count=2)),
        {},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
