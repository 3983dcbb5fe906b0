from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from fleet.domain.findings import Severity, Status
from fleet.domain.snapshot import Taint
from tests.builders import make_dra_device
from tests.domain.health.subjects import NOW, ask, before, nothing_read, sample, subject, uuid_of

EIGHT = [before(sample(index)) for index in range(8)]
SEVEN = [sample(index) for index in range(7)]


def test_a_card_that_is_reported_no_more_is_lost() -> None:
    result = ask("gpu_lost", subject(*SEVEN, earlier=EIGHT))
    assert result.status is Status.FAIL
    assert [(one.key, one.severity) for one in result.findings] == [(uuid_of(7), Severity.FATAL)]


def test_a_card_of_which_only_the_last_xid_is_left_is_lost() -> None:
    gone = structs.replace(sample(7), values={"xid": 79.0})
    assert [one.key for one in ask("gpu_lost", subject(*SEVEN, gone, earlier=EIGHT)).findings] == [uuid_of(7)]


def test_a_silent_exporter_loses_no_card() -> None:
    result = ask("gpu_lost", nothing_read(subject(*SEVEN, earlier=EIGHT)))
    assert (result.status, result.findings) == (Status.UNKNOWN, ())


def test_a_card_that_was_replaced_is_not_lost() -> None:
    assert ask("gpu_lost", subject(*SEVEN, sample(8), earlier=EIGHT)).status is Status.PASS


def test_of_more_strangers_than_gaps_those_seen_last_are_the_lost_ones() -> None:
    replaced = [before(sample(20 + index), seconds=90_000) for index in range(3)]
    result = ask("gpu_lost", subject(*SEVEN, earlier=[*EIGHT, *replaced]))
    assert [one.key for one in result.findings] == [uuid_of(7)]


def test_without_an_expected_count_new_cards_stand_for_those_that_went() -> None:
    unknown = {"expected": None}
    told = structs.replace(subject(*SEVEN, earlier=EIGHT, memory=unknown))
    no_labels = structs.replace(told, devices=structs.replace(told.devices, physical=None))
    assert [one.key for one in ask("gpu_lost", no_labels).findings] == [uuid_of(7)]
    swapped = subject(*SEVEN, sample(8), earlier=EIGHT, memory=unknown)
    assert ask("gpu_lost", structs.replace(swapped, devices=structs.replace(swapped.devices, physical=None))).findings == ()


def test_a_node_that_has_just_booted_may_still_bring_them_up() -> None:
    just = {"booted_at": NOW - timedelta(seconds=100)}
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT, memory=just)).status is Status.WAITING
    long_ago = {"booted_at": NOW - timedelta(seconds=301)}
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT, memory=long_ago)).status is Status.FAIL


def test_fewer_than_there_are_and_none_known_is_unknown() -> None:
    assert ask("gpu_lost", subject(*SEVEN, earlier=EIGHT[:7])).status is Status.UNKNOWN


def test_the_dra_driver_says_it_with_a_taint() -> None:
    device = make_dra_device(3, taints=(Taint(key="gpu.nvidia.com/gpu-lost", effect="NoSchedule"),))
    result = ask("gpu_lost", nothing_read(subject(dra_devices=(device,))))
    assert (result.status, result.findings[0].key) == (Status.FAIL, device.uuid)
