"""Manifests that are in use and select other nodes than the class does today."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.models import CompliancePeriod, FindingRow, Notice
from fleet.services import compliance
from tests.asking import World, a_class_pod, a_world, look

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return a_world()


def test_pods_of_a_manifest_that_now_selects_other_nodes_are_a_finding_and_an_event(world: World) -> None:
    world.ask("llama")
    pod = a_class_pod("p1", "n0", "llama", placement="0123456789abcdef", owner_kind="ReplicaSet", owner_name="llama-1")
    look(world.now + timedelta(seconds=10), 4, pod)
    compliance.evaluate(world.now + timedelta(seconds=20))
    compliance.evaluate(world.now + timedelta(minutes=1))
    row = FindingRow.objects.get(rule="class_stale_manifests")
    assert (row.key, row.severity) == ("full-h100", "warning")
    (violation,) = [
        item
        for item in CompliancePeriod.objects.get(kind="class", period__endswith__isnull=True).violations
        if item["id"] == "stale_manifests"
    ]
    assert violation["text"] == "Manifests in use are stale (1 pod of 1 owner): what they select is unknown."
    (notice,) = Notice.objects.filter(kind="request", detail__step="stale_manifest")
    assert notice.title.startswith("Copy the manifest of 2 × ")
