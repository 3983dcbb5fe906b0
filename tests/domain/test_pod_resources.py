from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.pod_resources import effective_requests, gpu_requests, holds, requested_by_resource
from fleet.domain.snapshot import ContainerSnapshot
from tests.builders import make_container, make_pod

GPU = "nvidia.com/gpu"


def init(gpus: int) -> ContainerSnapshot:
    return make_container("init", gpus=gpus, init=True)


def sidecar(gpus: int) -> ContainerSnapshot:
    return make_container("sidecar", gpus=gpus, init=True, sidecar=True)


def app(gpus: int) -> ContainerSnapshot:
    return make_container("app", gpus=gpus)


@pytest.mark.parametrize(
    ("containers", "slots"),
    [
        ([app(2)], 2),
        ([app(2), app(1)], 3),
        ([init(1), app(2)], 2),
        ([init(4), app(2)], 4),
        ([init(4), init(3), app(2)], 4),  # init containers run one after the other
        ([sidecar(1), app(2)], 3),  # a sidecar runs beside the app for good
        ([sidecar(1), init(3), app(2)], 4),  # and beside the init containers after it
        ([init(3), sidecar(1), app(1)], 3),  # but not beside those before it
        ([sidecar(1), init(1), sidecar(2), init(1), app(1)], 4),
        ([sidecar(2), sidecar(3)], 5),
        ([app(0)], 0),
        ([], 0),
    ],
)
def test_the_schedulers_arithmetic(containers: list[ContainerSnapshot], slots: int) -> None:
    assert effective_requests(make_pod(containers=containers)) == ({GPU: slots} if slots else {})


def test_resources_are_counted_apart() -> None:
    pod = make_pod(
        containers=[
            make_container(requests={GPU: "1", "rdma/hca": "1k"}),
            init(2),
            make_container(gpus=1, resource="nvidia.com/mig-1g.5gb"),
        ]
    )
    assert effective_requests(pod) == {GPU: 2, "rdma/hca": 1000, "nvidia.com/mig-1g.5gb": 1}
    assert gpu_requests(pod) == {GPU: 2, "nvidia.com/mig-1g.5gb": 1}


def test_the_state_of_containers_does_not_matter() -> None:
    assert gpu_requests(make_pod(containers=[make_container(gpus=2, state="terminated", exit_code=0)])) == {GPU: 2}


@pytest.mark.parametrize(
    ("node", "phase", "held"),
    [
        ("n", "Running", True),
        ("n", "Pending", True),
        ("n", "Unknown", True),
        ("n", "", True),
        ("n", "Succeeded", False),
        ("n", "Failed", False),
        ("", "Pending", False),
        ("", "", False),
    ],
)
def test_who_holds(node: str, phase: str, held: bool) -> None:
    pod = make_pod(node=node, phase=phase)
    assert holds(pod) is held
    assert requested_by_resource([pod]) == ({GPU: 1} if held else {})


def test_an_unreadable_request_makes_the_sum_unknown() -> None:
    pods = [make_pod("a", gpus=1), make_pod("b", containers=[make_container(requests={GPU: "some"})]), make_pod("c", gpus=2)]
    assert requested_by_resource(pods) == {GPU: None}


def test_an_absurd_request_is_unknown_too() -> None:
    pod = make_pod(containers=[make_container(requests={GPU: "16Gi", "nvidia.com/mig-1g.5gb": "1"})])
    assert requested_by_resource([pod]) == {GPU: None, "nvidia.com/mig-1g.5gb": 1}


@given(st.lists(st.tuples(st.sampled_from([app, init, sidecar]), st.integers(0, 9)), max_size=6))
def test_never_less_than_what_runs_together_never_more_than_everything(parts: list[tuple[object, int]]) -> None:
    containers = [make(gpus) for make, gpus in parts]  # type: ignore[operator]
    slots = effective_requests(make_pod(containers=containers)).get(GPU, 0)
    together = sum(gpus for make, gpus in parts if make is not init)
    assert slots is not None
    assert together <= slots <= sum(gpus for _, gpus in parts)


@given(st.dictionaries(st.text(), st.text()), st.booleans(), st.booleans())
def test_never_raises(requests: dict[str, str], is_init: bool, is_sidecar: bool) -> None:
    pod = make_pod(containers=[make_container(requests=requests, init=is_init, sidecar=is_sidecar), app(1)])
    gpu_requests(pod)
    requested_by_resource([pod])
