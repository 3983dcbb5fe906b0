"""Hours of a simulated fleet lived at speed: what the script did is what Muster recorded, at the script's own moments."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fleet.models import CollectionRun, VerdictPeriod
from fleet.selectors.muster.invariants import breaches
from fleet.services import lived_history
from fleet.simulator import script
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve


def test_a_script_is_the_same_for_the_same_fleet_and_never_strikes_a_node_twice_at_a_time() -> None:
    faults = script.write(build_fleet(clusters=1, nodes=8, pods_per_node=2, seed=5), days=3)
    assert faults == script.write(build_fleet(clusters=1, nodes=8, pods_per_node=2, seed=5), days=3)
    assert {fault.kind for fault in faults} == {*script.REAL, *script.HARMLESS}
    ends: dict[str, Any] = {}
    for fault in faults:
        assert fault.node not in ends or fault.at >= ends[fault.node] + script.REST
        ends[fault.node] = fault.over_at


@pytest.mark.django_db(transaction=True)
def test_an_hour_is_lived_in_seconds(tmp_path: Path, settings: Any) -> None:
    fleet = build_fleet(clusters=1, nodes=4, pods_per_node=15, seed=5)
    begins = fleet.clock()
    node = next(fault.node for fault in script.write(fleet, days=1) if fault.is_real)
    at = begins + timedelta(minutes=20, seconds=10)
    fault = script.Fault("plugin-crashed", fleet.clusters[0].name, node, at, timedelta(minutes=20), True)
    player = script.Player(fleet, [fault])
    ends = begins + timedelta(minutes=50)
    moments = [lived_history.Moment(*item) for item in script.moments([fault], begins, ends, timedelta(minutes=12))]
    with serve(fleet) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(tmp_path / "kubeconfig")), False
        assert lived_history.live(moments, player.move_to) == len(moments)
    bad = VerdictPeriod.objects.filter(node__name=node).exclude(verdict="ready").order_by("period")
    assert (bad[0].verdict, bad[0].period.lower) == ("not_ready", begins + timedelta(minutes=21)), "the first whole run after it"
    assert bad.reverse()[0].period.upper == begins + timedelta(minutes=41)
    assert CollectionRun.objects.latest("started_at").started_at == moments[-1].at
    assert list(breaches(ends)) == []
