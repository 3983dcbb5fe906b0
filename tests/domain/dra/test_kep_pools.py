"""Pools of several slices, binding conditions, selectors (KEP-4381, 5007): cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import DRIVER, PLAIN, ZONE, Cases, answer, claim, device, piece, request, world

CASES: Cases = {
    # pools of several slices, and their nodes: KEP-4381
    "two slices of one pool": (
        world(piece([device("d0")], of=2, name="s1"), piece([device("d1")], of=2, name="s2")),
        claim(request(count=2)),
        {"a": ["r:d0", "r:d1"]},
    ),
    "an older generation counts no more": (
        world(piece([device("old")], generation=1), piece([device("new")], generation=2)),
        claim(request()),
        {"a": ["r:new"]},
    ),
    "two pools give a device each": (
        world(piece([device("d0")]), piece([device("e0")], pool="q")),
        claim(request(count=2)),
        {"a": ["r:d0", "r:e0"]},
    ),
    "one name twice makes the pool invalid": (
        world(piece([device("d0")], of=2, name="s1"), piece([device("d0")], of=2, name="s2")),
        claim(request()),
        {},
    ),
    "the nodes of a zone": (world(piece([device("d0")], on=ZONE)), claim(request()), {"a": ["r:d0"], "b": ["r:d0"]}),
    "nodes of each device": (
        world(
            piece(
                [{**device("d0"), "allNodes": True}, {**device("d1"), **ZONE}, {**device("d2"), "nodeName": "c"}],
                on={"perDeviceNodeSelection": True},
            )
        ),
        claim(request(count=2)),
        {"a": ["r:d0", "r:d1"], "b": ["r:d0", "r:d1"], "c": ["r:d0", "r:d2"]},
    ),
    # binding conditions (KEP-5007)
    "devices that are bound later come last": (
        world(
            piece([device("d0") | {"bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]}], pool="a"),
            piece([device("e0")], pool="z"),
        ),
        claim(request()),
        {"a": ["r:e0"]},
    ),
    # selectors
    "an attribute that a device lacks": (
        world(piece([device("d0", kind="big"), device("d1")])),
        claim(request(cel=f"device.attributes['{DRIVER}'].kind == 'small'")),
        "error",
    ),
    "a class that leaves it out before": (
        world(piece([device("d0", kind="big"), device("d1", n=1)]), classes={"n": f"has(device.attributes['{DRIVER}'].n)"}),
        claim(request("r", "n", cel=f"device.attributes['{DRIVER}'].n == 1")),
        {"a": ["r:d1"]},
    ),
    "a class that is not there": (world(piece(PLAIN)), claim(request("r", "gone")), "error"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
