"""Pods where they should not be, pods that take what they did not ask for, and GPUs in use without a request."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import device_bypass, many_shares, pods_without_gpu, two_exporters, unrequested_use
from fleet.domain.lint.rules.pods_without_gpu import about
from fleet.domain.snapshot import DeviceAllocation
from fleet.domain.snapshot.telemetry import DeviceSample
from tests.builders import make_allocation, make_container, make_dra_device, make_node, make_plugin_config, make_pod
from tests.domain.lint.subjects import ask, exporter, keys, sample, subject_of

BUSY = {"gpu_util": 87.0, "fb_used": 61_000.0}
SHARED = make_node(product="Tesla-T4", gpus=2, sharing="time-slicing", replicas=4)


def no_gpu(name: str, **fields: Any) -> Any:
    return make_pod(name, gpus=0, **({"owner_kind": "ReplicaSet", "owner_name": "web-7d9"} | fields))


def test_pods_that_ask_for_no_gpu_are_one_finding_that_does_not_wobble() -> None:
    five = ask(pods_without_gpu.RULE, pods=[no_gpu(f"web-{n}") for n in range(5)])
    nine = ask(pods_without_gpu.RULE, pods=[no_gpu(f"other-{n}") for n in range(9)])
    assert five == nine
    assert (five.status, len(five.findings), five.findings[0].severity) == (Status.WARN, 1, Severity.INFO)
    assert five.findings[0].sustain_s > 0
    thousands = ask(pods_without_gpu.RULE, pods=[no_gpu(f"p{n}", namespace=f"ns{n % 40:02}") for n in range(3000)])
    assert len(thousands.findings) == 1
    assert len(thousands.findings[0].evidence) <= 7


@pytest.mark.parametrize(
    "pod",
    [
        make_pod("holder"),
        no_gpu("daemon", owner_kind="DaemonSet"),
        no_gpu("static", owner_kind="Node"),
        no_gpu("plugin", component="device-plugin"),
        no_gpu("claimant", claims=("claim-1",)),
        no_gpu("done", phase="Succeeded"),
    ],
)
def test_who_may_be_on_a_gpu_node(pod: Any) -> None:
    assert ask(pods_without_gpu.RULE, pods=[pod]).status == Status.PASS


def test_without_the_pods_nothing_is_known_of_them() -> None:
    for rule in (pods_without_gpu, device_bypass, many_shares, two_exporters, unrequested_use):
        assert ask(rule.RULE, node=SHARED, unread=["pods"], samples=[sample()]).status == Status.UNKNOWN


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1"), (2, "2 to 4"), (4, "2 to 4"), (5, "5 to 9"), (19, "10 to 19"), (50, "50 or more"), (9999, "50 or more")],
)
def test_rough_numbers(number: int, words: str) -> None:
    assert about(number) == words


def test_a_pod_that_asks_for_several_shares() -> None:
    pods = [make_pod("a", gpus=3, owner_kind="ReplicaSet", owner_name="chat"), make_pod("b", gpus=1)]
    result = ask(many_shares.RULE, node=SHARED, pods=pods)
    assert (result.status, keys(result)) == (Status.WARN, ["team-a/ReplicaSet/chat:nvidia.com/gpu"])
    assert result.findings[0].subject == "pod"
    assert "3 time-sliced slots" in result.findings[0].text
    assert ask(many_shares.RULE, node=SHARED, pods=pods[1:]).status == Status.PASS


def test_many_whole_gpus_are_not_a_finding() -> None:
    assert ask(many_shares.RULE, pods=[make_pod("a", gpus=8)]).status == Status.PASS
    assert ask(many_shares.RULE, node=make_node(gfd=False), pods=[make_pod("a", gpus=8)]).status == Status.UNKNOWN
    untold = make_node(gfd=False, gpus=1, capacity={"nvidia.com/gpu.shared": 4, "nvidia.com/gpu": None})
    assert ask(many_shares.RULE, node=untold, pods=[make_pod("a", gpus=2)]).status == Status.UNKNOWN


def test_shares_by_configuration_count_too() -> None:
    plugin = make_plugin_config(sharing="time-slicing", replicas=4)
    shared = make_node(gpus=2, sharing="time-slicing", replicas=4, labels={"nvidia.com/gpu.sharing-strategy": None})
    assert ask(many_shares.RULE, node=shared, plugin=plugin, pods=[make_pod("a", gpus=2)]).status == Status.WARN


def test_a_pod_that_reaches_gpus_without_holding_one() -> None:
    container = make_container(visible_devices="all")
    result = ask(device_bypass.RULE, pods=[no_gpu("notebook", containers=[container])])
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.WARNING)
    assert result.findings[0].evidence[0].value == "all"
    privileged = ask(device_bypass.RULE, pods=[no_gpu("agent", containers=[make_container(privileged=True)])])
    assert privileged.findings[0].severity == Severity.INFO


@pytest.mark.parametrize(
    "pod",
    [
        no_gpu("void", containers=[make_container(visible_devices="void")]),
        no_gpu("none", containers=[make_container(visible_devices="none")]),
        no_gpu("over", containers=[make_container(visible_devices="all", state="terminated")]),
        no_gpu("proxy", owner_kind="DaemonSet", containers=[make_container(privileged=True)]),
        no_gpu("exporter", component="dcgm-exporter", containers=[make_container(visible_devices="all")]),
        make_pod("holder", containers=[make_container(gpus=1, visible_devices="all")]),
    ],
)
def test_who_may_reach_gpus(pod: Any) -> None:
    assert ask(device_bypass.RULE, pods=[pod]).status == Status.PASS


def test_two_exporters_of_two_owners() -> None:
    part = {"component": "dcgm-exporter", "owner_kind": "DaemonSet"}
    standalone = no_gpu("dcgm-1", owner_name="nvidia-dcgm-exporter", **part)
    answer = no_gpu("gke-1", namespace="gke-managed-system", owner_name="dcgm-exporter", **part)
    result = ask(two_exporters.RULE, pods=[standalone, answer])
    assert (result.status, len(result.findings[0].evidence)) == (Status.WARN, 2)
    replaced = no_gpu("dcgm-2", owner_name="nvidia-dcgm-exporter", **part)
    assert ask(two_exporters.RULE, pods=[standalone, replaced]).status == Status.PASS
    assert ask(two_exporters.RULE).status == Status.NOT_ENABLED


# --- a GPU in use without a request -------------------------------------------------------------------------------------


def used(samples: list[DeviceSample], **given: Any) -> Any:
    return ask(unrequested_use.RULE, samples=samples, exporters=[exporter("gpu_util")], **given)


def test_a_gpu_in_use_on_a_node_without_requests() -> None:
    result = used([sample(0), sample(1, values=BUSY)])
    assert (result.status, keys(result)) == (Status.WARN, ["GPU-0001"])
    assert "GPU 1 is in use" in result.findings[0].text
    assert result.findings[0].sustain_s > 0
    again = used([sample(0), sample(1, values={"gpu_util": 12.5, "fb_used": 60_321.0})])
    assert again.findings == result.findings  # figures may wobble, the finding does not


def test_a_card_without_a_pod_where_every_holder_is_seen_elsewhere() -> None:
    pods = [make_pod("train-0", gpus=1)]
    result = used([sample(0, pod="team-a/train-0", values=BUSY), sample(1, values=BUSY)], pods=pods)
    assert keys(result) == ["GPU-0001"]


def test_the_kubelets_word_counts_as_the_exporters() -> None:
    devices = (DeviceAllocation(resource="nvidia.com/gpu", device_id="GPU-0000"),)
    held = used([sample(0, values=BUSY)], pods=[make_pod("train-0", devices=devices)])
    assert held.status == Status.PASS
    other = used([sample(1, values=BUSY)], pods=[make_pod("train-0", devices=devices)])
    assert keys(other) == ["GPU-0001"]


def test_an_exporter_that_names_no_pods_proves_nothing() -> None:
    result = used([sample(0, values=BUSY), sample(1)], pods=[make_pod("train-0")])
    assert (result.status, result.findings, result.blind) == (Status.UNKNOWN, (), ("GPU-0000",))


def test_one_pod_named_of_many_that_share_a_card_proves_nothing_about_the_next() -> None:
    pods = [make_pod("a"), make_pod("b")]
    result = used([sample(0, pod="team-a/a", values=BUSY), sample(1, values=BUSY)], node=SHARED, pods=pods)
    assert (result.status, result.blind) == (Status.UNKNOWN, ("GPU-0001",))


def test_idle_cards_pass() -> None:
    assert used([sample(0), sample(1, values={"gpu_util": 0.0, "fb_used": 610.0})]).status == Status.PASS


def test_a_mig_card_is_in_use_through_its_instances() -> None:
    whole = sample(0, values=BUSY)
    instance = sample(0, gi_id="7", profile="1g.10gb", values={"gr_engine_active": 0.4, "fb_used": 3000.0})
    result = used([whole, instance], node=make_node(mig="1g.10gb"))
    assert (keys(result), result.findings[0].subject) == (["GPU-0000/7"], "mig_instance")


def test_dra_says_who_holds_a_card() -> None:
    cards = [make_dra_device(0, uuid="GPU-0000"), make_dra_device(1, uuid="GPU-0001")]
    given = {"node": make_node(gpus=0), "dra": cards, "allocations": [make_allocation(cards[0])]}
    pods = [make_pod("claimant", gpus=0, claims=("claim-1",))]
    result = used([sample(0, values=BUSY), sample(1, values=BUSY)], pods=pods, **given)
    assert keys(result) == ["GPU-0001"]


def test_what_was_not_measured_is_not_idle() -> None:
    assert used([sample(0, values={"power": 70.0})]).status == Status.UNKNOWN
    assert used([sample(0, age_s=3600, values=BUSY)]).status == Status.UNKNOWN
    assert ask(unrequested_use.RULE).status == Status.NOT_ENABLED


def test_a_card_that_fell_silent_keeps_its_finding() -> None:
    from fleet.domain.evaluation.subject import NodeHistory

    subject = subject_of(samples=[sample(0)], exporters=[exporter("gpu_util")], history=NodeHistory(samples=(sample(1),)))
    assert ask(unrequested_use.RULE, subject).blind == ("GPU-0001",)
