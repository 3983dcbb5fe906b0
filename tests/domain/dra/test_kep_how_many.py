"""How many more claims of one kind fit, one after the other."""

from __future__ import annotations

import pytest

from fleet.domain.dra.pods import ClusterDevices, PodDevices
from tests.domain.dra.kep_world import (
    NODES,
    ONE,
    SEVEN,
    STEPS,
    THREE,
    ZONE,
    amount,
    claim,
    device,
    piece,
    request,
    shared,
    world,
)


@pytest.mark.parametrize(
    ("devices", "pod", "more"),
    [
        (world(piece([shared("s", "8Gi", STEPS)])), claim(request(**amount("3Gi"))), 2),
        (world(piece([shared("s", "8Gi", STEPS)])), claim(request()), 4),
        (world(piece([shared("s", "8Gi", STEPS)])), claim(request(**amount("1Gi"))), 4),
        (world(piece([shared("s", "8Gi"), device("d")])), claim(request()), 2),
        (
            world(piece([device(f"t{n}", uses=THREE) for n in range(3)] + [device("o", uses=ONE)], counters=SEVEN)),
            claim(request()),
            2,
        ),
        (world(piece([device("d0")]), piece([device("d1")], on=ZONE, pool="z")), claim(request()), 2),
    ],
)
def test_how_many_more(devices: ClusterDevices, pod: PodDevices, more: int) -> None:
    count = 0
    while count < 10 and (outcome := next((o for node in NODES if (o := devices.check(pod, node)).chosen is not None), None)):
        devices.hold(outcome.chosen or ())
        count += 1
    assert count == more
