from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Severity, Status
from fleet.domain.readiness.rungs import telemetry_healthy
from fleet.domain.snapshot import Taint
from fleet.domain.snapshot.telemetry import DeviceSample
from tests.builders import make_allocation, make_dra_device, make_node
from tests.domain.health.subjects import NOW, ask, before, nothing_read, sample, subject, uuid_of
from tests.domain.subjects import reporting

EIGHT = [before(sample(index)) for index in range(8)]
SEVEN = [sample(index) for index in range(7)]


def test_a_card_that_is_reported_no_more_is_lost() -> None:
    result = ask("gpu_lost", subject(*SEVEN, earlier=EIGHT))
    assert result.status is Status.FAIL
    assert [(finding.key, finding.severity) for finding in result.findings] == [(uuid_of(7), Severity.FATAL)]


def test_a_card_of_which_only_the_last_xid_is_left_is_lost() -> None:
    gone = structs.replace(sample(7), values={"xid": 79.0})
    assert [finding.key for finding in ask("gpu_lost", subject(*SEVEN, gone, earlier=EIGHT)).findings] == [uuid_of(7)]


def test_a_gpu_whose_every_value_is_invalid_is_not_lost() -> None:
    invalid = structs.replace(sample(7), values={}, refused={"gpu_temp": "NaN", "power": "inf W, outside 0 to 20000"})
    assert ask("gpu_lost", subject(*SEVEN, invalid, earlier=EIGHT)).findings == ()


def test_a_gpu_whose_samples_are_an_hour_old_while_the_exporter_answers_is_not_lost() -> None:
    assert ask("gpu_lost", subject(*SEVEN, sample(7, age_s=3600), earlier=EIGHT)).findings == ()


def test_a_silent_exporter_loses_no_card() -> None:
    result = ask("gpu_lost", nothing_read(subject(*SEVEN, earlier=EIGHT)))
    assert (result.status, result.findings) == (Status.UNKNOWN, ())


def test_a_card_that_was_replaced_is_not_lost() -> None:
    assert ask("gpu_lost", subject(*SEVEN, sample(8), earlier=EIGHT)).status is Status.PASS


def test_of_more_strangers_than_gaps_those_seen_last_are_the_lost_ones() -> None:
    replaced = [before(sample(20 + index), seconds=90_000) for index in range(3)]
    result = ask("gpu_lost", subject(*SEVEN, earlier=[*EIGHT, *replaced]))
    assert [finding.key for finding in result.findings] == [uuid_of(7)]


def test_without_an_expected_count_new_cards_stand_for_those_that_went() -> None:
    unknown = {"expected": None}
    result = structs.replace(subject(*SEVEN, earlier=EIGHT, history=unknown))
    no_labels = structs.replace(result, devices=structs.replace(result.devices, physical=None))
    assert [finding.key for finding in ask("gpu_lost", no_labels).findings] == [uuid_of(7)]
    swapped = subject(*SEVEN, sample(8), earlier=EIGHT, history=unknown)
    assert ask("gpu_lost", structs.replace(swapped, devices=structs.replace(swapped.devices, physical=None))).findings == ()


def test_a_node_that_has_just_booted_may_still_bring_them_up() -> None:
    just = {"booted_at": NOW - timedelta(seconds=100)}
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT, history=just)).status is Status.WAITING
    long_ago = {"booted_at": NOW - timedelta(seconds=300)}  # exactly the grace
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT, history=long_ago)).status is Status.FAIL


def test_a_node_that_has_just_booted_with_all_its_gpus_has_lost_none() -> None:
    just = {"booted_at": NOW - timedelta(seconds=60)}
    assert ask("gpu_lost", subject(*SEVEN, sample(7), earlier=EIGHT, history=just)).status is Status.PASS
    assert ask("gpu_lost", subject(*SEVEN, sample(8), earlier=EIGHT, history=just)).status is Status.PASS, "one was replaced"
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT[:7], history=just)).status is Status.WAITING, "the eighth may come"


def test_fewer_than_there_are_and_none_known_is_unknown() -> None:
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT[:7])).status is Status.UNKNOWN


def test_the_dra_driver_says_it_with_a_taint() -> None:
    device = make_dra_device(3, taints=(Taint(key="gpu.nvidia.com/gpu-lost", effect="NoSchedule"),))
    result = ask("gpu_lost", nothing_read(subject(dra_devices=(device,))))
    assert (result.status, result.findings[0].key) == (Status.FAIL, device.uuid)


def of_claims(held: int, *samples: DeviceSample) -> NodeSubject:
    """Eight GPUs in a ResourceSlice, the first `held` of them held by claims."""
    published = [make_dra_device(index, uuid=uuid_of(index)) for index in range(8)]
    claims = [make_allocation(device, claim=device.name) for device in published[:held]]
    node = make_node(gpus=0, gfd=False)
    devices = inspect(NodeInputs(node=node, pods=(), devices=published, allocations=claims))
    seen = structs.replace(subject(*samples, earlier=EIGHT, node=node), devices=devices)
    return reporting(seen, dra_devices=tuple(published))


def test_gpus_that_no_claim_holds_and_the_exporter_leaves_out_are_not_lost() -> None:
    seen = of_claims(5, *(sample(index) for index in range(5)))
    assert ask("gpu_lost", seen).findings == ()
    result = telemetry_healthy.check(seen, ())
    assert (result.status, result.reason[:25]) == (Status.UNKNOWN, "3 GPUs of 8 not measured:")


def test_a_held_gpu_that_is_reported_no_more_is_lost_though_others_are_left_out() -> None:
    seen = of_claims(5, *(sample(index) for index in range(4)))
    assert [finding.key for finding in ask("gpu_lost", seen).findings] == [uuid_of(4)]
    assert telemetry_healthy.check(seen, ()).status is Status.FAIL


def test_an_unheld_gpu_that_the_driver_calls_lost_is_lost() -> None:
    seen = of_claims(5, *(sample(index) for index in range(5)))
    tainted = structs.replace(seen.dra_devices[7], taints=(Taint("gpu.nvidia.com/gpu-lost", "", "NoExecute"),))
    seen = reporting(seen, dra_devices=(*seen.dra_devices[:7], tainted))
    assert [finding.key for finding in ask("gpu_lost", seen).findings] == [uuid_of(7)]
