from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.classes.workload import ISOLATIONS, ClassSpec, problems, sized
from fleet.domain.placement.nodes import MIG, MODES


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"isolation": "vgpu"}, "isolation", "Choose from full, mig, time-sliced, mps, partition."),
        ({"topology": "ring"}, "topology", "Choose from"),
        ({"gpus": 0}, "gpus", "from 1 to"),
        ({"isolation": "time-sliced", "gpus": 2}, "gpus", "exactly one slot"),
        ({"isolation": "mps", "sizes": (2,)}, "gpus", "exactly one slot"),
        ({"isolation": MIG}, "profile", "names its profile"),
        ({"isolation": MIG, "profile": "big"}, "profile", "is not a MIG profile"),
        ({"profile": "1g.10gb"}, "profile", "Only a class with isolation mig"),
        ({"isolation": "partition"}, "profile", "names their mode"),
        ({"isolation": "mig", "profile": "CPX"}, "profile", "is not a MIG profile"),
        ({"gpus": 8, "nodes": 3, "topology": "several-nodes"}, "nodes", "must divide"),
        ({"gpus": 8, "nodes": 2}, "nodes", "a replica is one pod"),
        ({"topology": "nvlink-domain"}, "nodes", "at least 2"),
        ({"min_driver": "R570"}, "min_driver", "is not a version"),
        ({"min_memory_mib": 0}, "min_memory_mib", "above 0"),
        ({"cpu_per_slot": "many"}, "cpu_per_slot", "is not a quantity above 0"),
        ({"cpu_per_slot": "8", "hugepages_2mi_per_slot": "5Mi"}, "hugepages_2mi_per_slot", "not a multiple of the page of 2 MiB"),
        ({"cpu_per_slot": "8", "hugepages_1gi_per_slot": "1537Mi"}, "hugepages_1gi_per_slot", "multiple of the page of 1024 MiB"),
        ({"hugepages_2mi_per_slot": "4Gi"}, "hugepages_2mi_per_slot", "requires CPU or memory beside huge pages"),
        ({"max_replicas": -1}, "max_replicas", "0 or more"),
        ({"max_hours": 0}, "max_hours", "1 hour or more"),
        ({"pools": ("a", "a")}, "pools", "named twice"),
    ],
)
def test_contradictions_are_reported_by_field(fields: dict[str, Any], field: str, says: str) -> None:
    ((details, text),) = problems(ClassSpec(slug="a", **fields))
    assert details == field
    assert says in text


def test_what_a_pod_requests_beside_its_slots_is_multiplied_by_them() -> None:
    spec = ClassSpec(slug="a", gpus=2, cpu_per_slot="500m", hugepages_2mi_per_slot="4Gi", hugepages_1gi_per_slot="1Gi")
    assert problems(spec) == ()
    assert dict(spec.other_requests) == {"cpu": 1000, "hugepages-2Mi": 8 * 2**30, "hugepages-1Gi": 2 * 2**30}


def test_the_default_is_sound_and_every_isolation_is_explained() -> None:
    assert problems(ClassSpec(slug="a")) == ()
    assert set(ISOLATIONS) < set(MODES)
    assert sized(ClassSpec(slug="a", sizes=(4,)), 4).choices == (4,)
