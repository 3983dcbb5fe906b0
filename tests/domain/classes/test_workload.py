from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.classes.workload import ISOLATIONS, WorkloadClass, problems, sized
from fleet.domain.placement.nodes import MIG, MODES


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"isolation": "vgpu"}, "isolation", "Write one of full, mig, time-sliced, mps."),
        ({"topology": "ring"}, "topology", "Write one of"),
        ({"gpus": 0}, "gpus", "from 1 to"),
        ({"isolation": "time-sliced", "gpus": 2}, "gpus", "exactly one slot"),
        ({"isolation": "mps", "sizes": (2,)}, "gpus", "exactly one slot"),
        ({"isolation": MIG}, "profile", "names its profile"),
        ({"isolation": MIG, "profile": "big"}, "profile", "is no MIG profile"),
        ({"profile": "1g.10gb"}, "profile", "Only a class with isolation mig"),
        ({"gpus": 8, "nodes": 3, "topology": "several-nodes"}, "nodes", "must divide"),
        ({"gpus": 8, "nodes": 2}, "nodes", "a replica is one pod"),
        ({"topology": "nvlink-domain"}, "nodes", "at least 2"),
        ({"min_driver": "R570"}, "min_driver", "is no version"),
        ({"min_memory_mib": 0}, "min_memory_mib", "above 0"),
        ({"max_replicas": -1}, "max_replicas", "0 or more"),
        ({"max_hours": 0}, "max_hours", "1 hour or more"),
        ({"pools": ("a", "a")}, "pools", "named twice"),
    ],
)
def test_what_does_not_go_together_is_told_by_field(fields: dict[str, Any], field: str, says: str) -> None:
    ((told, text),) = problems(WorkloadClass(slug="a", **fields))
    assert told == field
    assert says in text


def test_the_default_is_sound_and_every_isolation_is_explained() -> None:
    assert problems(WorkloadClass(slug="a")) == ()
    assert set(ISOLATIONS) < set(MODES)
    assert sized(WorkloadClass(slug="a", sizes=(4,)), 4).choices == (4,)
