"""Rung 6: the labels are accurate."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fleet.domain.devices.inspection import Previous
from fleet.domain.findings import Status
from tests.builders import H100, make_node
from tests.domain.readiness.world import NOW, World, operand, operator, samples, stack, swapped, telemetry, without

RUNG = "labels_accurate"


def labelled(**labels: str | None) -> World:
    return operator(**labels)


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


def test_labels_that_the_slots_disprove_fail() -> None:
    world = labelled(**{"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"})
    result = world.rung(RUNG)
    assert result.status == Status.FAIL
    assert result.evidence


def test_a_product_that_the_exporter_does_not_find_fails() -> None:
    world = operator().but(telemetry=telemetry(samples(model="NVIDIA A100-SXM4-80GB")))
    assert world.says(RUNG) == Status.FAIL
    gone = world.but(telemetry=telemetry([])).remembering(samples=tuple(samples(model="NVIDIA A100-SXM4-80GB")))
    assert gone.says(RUNG) == Status.FAIL, "what it last read is not forgotten when it falls silent"


def test_a_driver_or_memory_that_the_exporter_reads_otherwise_warns() -> None:
    assert operator().but(telemetry=telemetry(samples(driver_version="580.95.05"))).says(RUNG) == Status.WARN
    small = {"fb_used": 10.0, "fb_free": 40_000.0, "fb_reserved": 500.0}
    assert operator().but(telemetry=telemetry(samples(values=small))).says(RUNG) == Status.WARN
    right = {"fb_used": 10.0, "fb_free": 81_000.0, "fb_reserved": 500.0}
    assert operator().but(telemetry=telemetry(samples(values=right))).says(RUNG) == Status.PASS


def test_labels_from_before_the_boot_warn_once_gfd_had_its_time() -> None:
    stamp = str(int((NOW - timedelta(days=1)).timestamp()))
    world = labelled(**{"nvidia.com/gfd.timestamp": stamp})
    assert world.says(RUNG) == Status.PASS, "an old stamp is no heartbeat that stopped"
    assert world.remembering(booted_at=NOW - timedelta(minutes=3)).says(RUNG) == Status.WAITING
    assert world.remembering(booted_at=NOW - timedelta(minutes=30)).says(RUNG) == Status.WARN


def test_a_boot_that_was_noticed_late_makes_no_label_old() -> None:
    """The node booted and GFD wrote between two runs: its timestamp is between them, too."""
    stamp = str(int((NOW - timedelta(minutes=36)).timestamp()))
    noticed = {"booted_after": NOW - timedelta(minutes=40), "booted_at": NOW - timedelta(minutes=30)}
    assert labelled(**{"nvidia.com/gfd.timestamp": stamp}).remembering(**noticed).says(RUNG) == Status.PASS
    old = str(int((NOW - timedelta(minutes=50)).timestamp()))
    assert labelled(**{"nvidia.com/gfd.timestamp": old}).remembering(**noticed).says(RUNG) == Status.WARN


def test_a_restart_of_gfd_breaks_nothing() -> None:
    world = operator()
    bare = make_node(gfd=False, labels={k: v for k, v in world.node.labels.items() if "deploy" in k})
    previous = Previous(product=H100, products=(H100,), physical=8, capacity={"nvidia.com/gpu": 8})
    away = world.but(node=bare).remembering(previous=previous, rungs={RUNG: "pass"})
    assert away.says(RUNG) == Status.PASS
    assert away.evaluate_ladder().verdict == "ready"
    assert away.remembering(rungs={RUNG: "fail"}).says(RUNG) == Status.WAITING, "what was wrong does not heal by restarting"


def test_labels_that_stay_away_fail_where_gfd_runs() -> None:
    world = operator()
    bare = make_node(gfd=False, labels={k: v for k, v in world.node.labels.items() if "deploy" in k})
    assert world.but(node=bare).says(RUNG) == Status.FAIL
    assert swapped(world.but(node=bare), operand("gpu-feature-discovery", state="starting")).says(RUNG) == Status.WAITING


def test_no_labels_at_all_are_unknown_or_not_enabled() -> None:
    world = World(node=make_node(gfd=False))
    assert world.says(RUNG) == Status.NOT_ENABLED
    assert "GPU feature discovery" in world.rung(RUNG).remedy
    assert world.but(pods=(operand("gpu-feature-discovery", node="other"),)).says(RUNG) == Status.UNKNOWN


def test_unread_pods_leave_it_unknown() -> None:
    assert operator().but(broken=("pods",)).says(RUNG) == Status.UNKNOWN


def test_the_labels_of_the_former_layout_fail() -> None:
    world = operator()
    stale = make_node(labels=world.node.labels, capacity={"nvidia.com/gpu": 0, "nvidia.com/mig-1g.10gb": 56})
    assert world.but(node=stale, pods=without(world.pods)).says(RUNG) == Status.FAIL
    assert msgspec.structs.asdict(world.node)
