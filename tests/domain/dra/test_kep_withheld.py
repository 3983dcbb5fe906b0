"""Admin access (KEP-5018), taints (KEP-5055), extended resources (KEP-5004): cases with the answers of the proposals."""

from __future__ import annotations

import pytest

from tests.domain.dra.kep_world import (
    ANY,
    PLAIN,
    TAINT,
    Cases,
    answer,
    claim,
    containers,
    device,
    either,
    hold,
    piece,
    request,
    world,
)

CASES: Cases = {
    # admin access (KEP-5018)
    "admin access sees what is held": (
        world(piece([device("d0")]), held=[hold("d0")]),
        claim(request(adminAccess=True)),
        {"a": ["r:d0"]},
    ),
    "who only watches holds nothing": (
        world(piece([device("d0")]), held=[hold("d0", adminAccess=True)]),
        claim(request()),
        {"a": ["r:d0"]},
    ),
    "two admin requests of a claim see two devices": (
        world(piece([device("d0")])),
        claim(request("r", adminAccess=True), request("q", adminAccess=True)),
        {},
    ),
    # device taints (KEP-5055)
    "a toleration of another effect": (
        world(piece([device("d0", taints=TAINT)])),
        claim(request(tolerations=[{"key": "ill", "operator": "Exists", "effect": "NoSchedule"}])),
        {},
    ),
    "a toleration of another value": (
        world(piece([device("d0", taints=TAINT)])),
        claim(request(tolerations=[{"key": "ill", "operator": "Equal", "value": "y"}])),
        {},
    ),
    "a toleration of everything": (
        world(piece([device("d0", taints=TAINT)])),
        claim(request(tolerations=[{"operator": "Exists"}])),
        {"a": ["r:d0"]},
    ),
    "an alternative that tolerates": (
        world(piece([device("d0", taints=TAINT)])),
        claim(either(request("x"), request("y", tolerations=[{"key": "ill", "value": "x", "operator": "Equal"}]))),
        {"a": ["r/y:d0"]},
    ),
    "a rule for a pool of another driver": (
        world(
            piece([device("d0")]),
            rules=[{"deviceSelector": {"driver": "other", "pool": "p"}, "taint": {"key": "k", "effect": "NoSchedule"}}],
        ),
        claim(request()),
        {"a": ["r:d0"]},
    ),
    "a rule that selects by nothing": (
        world(
            piece([device("d0")]),
            piece([device("e0")], on="b", pool="q"),
            rules=[{"taint": {"key": "k", "effect": "NoSchedule"}}],
        ),
        claim(request()),
        {},
    ),
    # extended resources (KEP-5004)
    "two containers, a device each": (
        world(piece(PLAIN), classes=ANY | {"ext-a": "true"}),
        containers(1, 1),
        {"a": ["container-0-request-0:d0", "container-1-request-0:d1"]},
    ),
    "by the name of the class": (
        world(piece(PLAIN)),
        containers(2, resource="deviceclass.resource.kubernetes.io/any"),
        {"a": ["container-0-request-0:d0", "container-0-request-0:d1"]},
    ),
    "no class offers the resource": (world(piece(PLAIN)), containers(1), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposal(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected
