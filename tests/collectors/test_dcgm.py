from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.collectors.dcgm import Devices, parse, pci_bus_id
from fleet.collectors.exposition import parse as read
from fleet.domain.snapshot.telemetry import DeviceSample, PodRef
from tests.collectors.pages import gpu_labels, line, page, whole_page

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
NODE = "node-a"


def samples(*lines: str) -> tuple[DeviceSample, ...]:
    return parse(read(page(*lines)), NODE, AT).samples()


def only_sample(*lines: str) -> DeviceSample:
    (sample,) = samples(*lines)
    return sample


def test_a_card_with_its_identity_and_units() -> None:
    sample = only_sample(
        line("DCGM_FI_DEV_GPU_UTIL", gpu_labels(3), 97),
        line("DCGM_FI_DEV_FB_USED", gpu_labels(3), 73211),
        line("DCGM_FI_PROF_GR_ENGINE_ACTIVE", gpu_labels(3), "0.934112"),
        line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", gpu_labels(3), 184467440737095),
    )
    assert sample.key == "GPU-00000003-1111-2222-3333-444455556666"
    assert (sample.node_name, sample.index, sample.pci_bus_id, sample.at) == (NODE, 3, "0000:1b:00.0", AT)
    assert (sample.model, sample.driver_version) == ("NVIDIA H100 80GB HBM3", "570.124.06")
    assert sample.values == {"gpu_util": 97, "fb_used": 73211, "gr_engine_active": 0.934112, "energy": 184467440737095}


def test_the_node_is_where_the_pod_runs_whatever_the_label_says() -> None:
    for host in ("Hostname", "hostname"):
        assert only_sample(line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(host=host, node="exporter-pod-x7"), 40)).node_name == NODE


def test_the_old_namespace_names_the_card_in_small_letters() -> None:
    labels = {"gpu": "0", "uuid": "GPU-a", "pod_name": "job-1", "pod_namespace": "ml", "container_name": "main"}
    sample = only_sample(line("DCGM_FI_DEV_GPU_TEMP", labels, 40))
    assert (sample.uuid, sample.pods) == ("GPU-a", (PodRef("ml", "job-1", "main"),))


def test_new_names_and_base_units() -> None:
    sample = only_sample(
        line("DCGM_FI_DEV_XID_ERROR", gpu_labels(err_code="79", err_msg="GPU has fallen off the bus"), 79),
        line("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", gpu_labels(), 1500),
        line("DCGM_FI_DEV_SM_CLOCK_HERTZ", gpu_labels(), 1980000000),
        line("DCGM_FI_DEV_FB_USED_BYTES", gpu_labels(), 2**30),
    )
    assert sample.values == {"xid": 79, "energy": 1_500_000, "sm_clock": pytest.approx(1980), "fb_used": 1024}


def test_mig_instances_carry_their_cards_uuid_and_stay_apart() -> None:
    first = gpu_labels(GPU_I_PROFILE="1g.5gb", GPU_I_ID="7")
    second = gpu_labels(GPU_I_PROFILE="3g.20gb", GPU_I_ID="2")
    result = samples(line("DCGM_FI_DEV_FB_USED", first, 3120), line("DCGM_FI_DEV_FB_USED", second, 25))
    assert [(item.gi_id, item.profile, item.values["fb_used"]) for item in result] == [
        ("2", "3g.20gb", 25),
        ("7", "1g.5gb", 3120),
    ]
    assert len({entry.uuid for entry in result}) == 1
    assert {row.key.partition("/")[2] for row in result} == {"2", "7"}


def test_virtual_gpus_do_not_double() -> None:
    """Every pod that shares a card brings the card's own value once more."""
    pods = [PodRef("speech", "asr-1", "asr"), PodRef("speech", "tts-1", "tts")]
    lines = [
        line(name, gpu_labels(container=pod.container, namespace=pod.namespace, pod=pod.pod, vgpu=str(replica)), value)
        for name, value in (("DCGM_FI_DEV_GPU_UTIL", 64), ("DCGM_FI_DEV_FB_USED", 9315))
        for replica, pod in enumerate(pods)
    ]
    sample = only_sample(*lines)
    assert sample.values == {"gpu_util": 64, "fb_used": 9315}
    assert sample.pods == tuple(pods)


def test_values_per_process_beside_the_cards_own() -> None:
    """Newer exporters give each pod its own share and the card a series without a pod: the card's is the highest."""
    sample = only_sample(
        line("DCGM_FI_DEV_FB_USED", gpu_labels(), 12000),
        line("DCGM_FI_DEV_FB_USED", gpu_labels(pod="a", namespace="n", container="c"), 7000),
        line("DCGM_FI_DEV_FB_USED", gpu_labels(pod="b", namespace="n", container="c"), 4500),
    )
    assert sample.values == {"fb_used": 12000}


@pytest.mark.parametrize(
    "value",
    [
        "9223372036854775794",
        "2147483632",
        "2147483635",
        "140737488355328.000000",
        "140737488355330",
        "NaN",
        "+Inf",
        "-Inf",
        "2e14",
    ],
)
def test_no_value_is_no_value(value: str) -> None:
    sample = only_sample(line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(), value), line("DCGM_FI_DEV_FB_USED", gpu_labels(), 5))
    assert sample.values == {"fb_used": 5}


@pytest.mark.parametrize(
    ("wire", "value", "metric", "reason"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", "NaN", "gpu_util", "NaN"),
        ("DCGM_FI_DEV_GPU_UTIL", "+Inf", "gpu_util", "inf %, outside 0 to 100"),
        ("DCGM_FI_DEV_GPU_UTIL", "-Inf", "gpu_util", "-inf %, outside 0 to 100"),
        ("DCGM_FI_DEV_GPU_UTIL", "-1e300", "gpu_util", "-1e+300 %, outside 0 to 100"),
        ("DCGM_FI_DEV_GPU_UTIL", "4294967295", "gpu_util", "4.29497e+09 %, outside 0 to 100"),
        ("DCGM_FI_DEV_GPU_UTIL", "101", "gpu_util", "101 %, outside 0 to 100"),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "1.5", "gr_engine_active", "1.5, outside 0 to 1"),
        ("DCGM_FI_DEV_POWER_USAGE", "-3", "power", "-3 W, outside 0 to 20000"),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "-1e300", "energy", "-1e+300 mJ, outside 0 to 7e+16"),
        ("DCGM_FI_DEV_GPU_TEMP", "2147483632", "gpu_temp", "DCGM has no value for it"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_with_the_reason(wire: str, value: str, metric: str, reason: str) -> None:
    sample = only_sample(line(wire, gpu_labels(), value))
    assert (sample.values, sample.refused) == ({}, {metric: reason})
    assert sample.is_measured, "the GPU has a series, so it is there"
    assert not sample.has_values


@pytest.mark.parametrize(
    ("wire", "value"), [("DCGM_FI_DEV_GPU_UTIL", 0), ("DCGM_FI_DEV_GPU_UTIL", 100), ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1)]
)
def test_the_ends_of_a_range_are_values(wire: str, value: int) -> None:
    assert list(only_sample(line(wire, gpu_labels(), value)).values.values()) == [value]


def test_a_valid_value_beside_an_invalid_one_of_the_same_metric_is_the_value() -> None:
    sample = only_sample(line("DCGM_FI_DEV_GPU_UTIL", gpu_labels(), "NaN"), line("DCGM_FI_DEV_GPU_UTIL", gpu_labels(pod="a"), 7))
    assert (sample.values, sample.refused) == ({"gpu_util": 7}, {})


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1e300", "1e300", "-1"])
def test_the_exporters_own_series_take_no_invalid_counts(value: str) -> None:
    sample = only_sample(
        line("DCGM_EXP_XID_ERRORS_COUNT", gpu_labels(xid="79"), value),
        line("DCGM_EXP_GPU_HEALTH_STATUS", gpu_labels(health_watch="MEM"), value),
        line("DCGM_EXP_CLOCK_EVENTS_COUNT", gpu_labels(clock_event="hw_slowdown"), value),
    )
    assert (sample.xid_counts, sample.watches, sample.clock_events) == ({}, {}, {})


def stamped(at: datetime, wire: str = "DCGM_FI_DEV_GPU_UTIL", value: float = 90) -> str:
    return f"{line(wire, gpu_labels(), value)} {int(at.timestamp() * 1000)}"


def test_a_sample_is_as_old_as_its_own_timestamp_says() -> None:
    hour_ago = AT - timedelta(hours=1)
    assert only_sample(stamped(hour_ago)).at == hour_ago


def test_of_samples_with_different_times_the_old_ones_are_no_values() -> None:
    sample = only_sample(stamped(AT - timedelta(hours=1)), stamped(AT - timedelta(seconds=5), "DCGM_FI_DEV_GPU_TEMP", 50))
    assert (sample.at, sample.values) == (AT - timedelta(seconds=5), {"gpu_temp": 50})
    assert sample.refused == {"gpu_util": "sampled at 2026-11-23 11:00:00 UTC"}


def test_a_sample_from_tomorrow_is_no_value() -> None:
    sample = only_sample(stamped(AT + timedelta(days=1)))
    assert (sample.values, sample.at) == ({}, AT)
    assert sample.refused == {"gpu_util": "sampled in the future, by the exporter's clock"}


@pytest.mark.parametrize(("ahead_s", "is_value"), [(299, True), (300, True), (301, False)])
def test_a_clock_may_be_ahead_by_as_much_as_a_sample_may_be_old(ahead_s: int, is_value: bool) -> None:
    sample = only_sample(stamped(AT + timedelta(seconds=ahead_s)))
    assert (bool(sample.values), sample.at) == (is_value, AT)


@pytest.mark.parametrize("stamp", ["9999999999999999999", "-9999999999999999999", "9" * 5000])
def test_a_timestamp_outside_the_calendar_costs_no_other_sample(stamp: str) -> None:
    result = samples(f"{line('DCGM_FI_DEV_GPU_UTIL', gpu_labels(), 90)} {stamp}", line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(), 50))
    assert "gpu_util" not in result[0].values
    assert result[0].values == {"gpu_temp": 50}


@pytest.mark.parametrize("uuid", ["GPU-" + "a" * 100, "GPU-\n", ""])
def test_what_no_uuid_can_be_names_no_device(uuid: str) -> None:
    assert samples(line("DCGM_FI_DEV_GPU_UTIL", gpu_labels() | {"UUID": uuid}, 90)) == ()


def test_a_large_counter_is_a_value() -> None:
    assert only_sample(line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", gpu_labels(), 3e14)).values == {"energy": 3e14}


def test_zero_degrees_of_memory_is_no_sensor() -> None:
    sample = only_sample(line("DCGM_FI_DEV_MEMORY_TEMP", gpu_labels(), 0), line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(), 0))
    assert sample.values == {"gpu_temp": 0}


def test_blank_texts_are_empty() -> None:
    sample = only_sample(line("DCGM_FI_DEV_GPU_TEMP", gpu_labels() | {"modelName": "<<<NOT_SUPPORTED>>>"}, 40))
    assert sample.model == ""


def test_exported_metrics_are_known_even_where_this_gpu_has_none() -> None:
    devices = parse(
        read(
            page(
                line("DCGM_FI_DEV_MEMORY_TEMP", gpu_labels(), 0),
                line("DCGM_EXP_GPU_HEALTH_STATUS", gpu_labels(health_watch="PCIE", health_error_code=""), 0),
                line("DCGM_FI_DEV_SOMETHING_ELSE", gpu_labels(), 1),
            )
        ),
        NODE,
        AT,
    )
    assert devices.reported(NODE) == ("memory_temp", "watches")


def test_the_exporters_own_series() -> None:
    sample = only_sample(
        line("DCGM_EXP_XID_ERRORS_COUNT", gpu_labels(xid="45", window_size_in_ms="300000"), 3),
        line("DCGM_EXP_XID_ERRORS_COUNT", gpu_labels(window_size_in_ms="300000"), 0),
        line("DCGM_EXP_GPU_HEALTH_STATUS", gpu_labels(health_watch="MEM", health_error_code="DCGM_FR_VOLATILE_DBE"), 20),
        line("DCGM_EXP_CLOCK_EVENTS_COUNT", gpu_labels(clock_event="hw_thermal"), 4),
    )
    assert sample.xid_counts == {"45": 3}
    assert sample.watches == {"MEM": 20}
    assert sample.clock_events == {"hw_thermal": 4}


def test_older_exporters_write_empty_pod_labels() -> None:
    assert only_sample(line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(container="", namespace="", pod=""), 40)).pods == ()


def test_behind_prometheus_only_the_exported_pod_holds_the_card() -> None:
    devices = Devices(AT, renamed=True)
    target = {"pod": "nvidia-dcgm-exporter-abcde", "namespace": "gpu-operator", "container": "exporter"}
    held = {"exported_pod": "train-0", "exported_namespace": "ml", "exported_container": "main"}
    devices.add("DCGM_FI_DEV_GPU_TEMP", gpu_labels(0, **target, **held), 40, NODE, AT)
    devices.add("DCGM_FI_DEV_GPU_TEMP", gpu_labels(1, **target), 40, NODE, AT)
    assert [sample.pods for sample in devices.samples()] == [(PodRef("ml", "train-0", "main"),), ()]


def test_a_targets_own_labels_are_no_holder() -> None:
    assert (
        only_sample(line("DCGM_FI_DEV_GPU_TEMP", gpu_labels(pod="nvidia-dcgm-exporter-x", namespace="gpu-operator"), 40)).pods
        == ()
    )


def test_links_and_switches_are_no_cards() -> None:
    lines = [
        line("DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT", {"nvswitch": "0", "Hostname": NODE}, 40),
        line("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", {"nvlink": "3", "nvswitch": "0"}, 1),
    ]
    assert samples(*lines) == ()


def test_amds_exporter() -> None:
    labels = {
        "gpu_id": "2", "gpu_uuid": "ccff74a1-0000-1000-80e0-c6d49f5b0d86", "card_series": "AMD Instinct MI300X OAM",
        "driver_version": "6.12.12", "hostname": "lab-7", "pod": "", "namespace": "", "container": "",
    }  # fmt: skip
    sample = only_sample(
        line("gpu_gfx_activity", labels, 88),
        line("gpu_used_vram", labels, 120000),
        line("amd_gpu_junction_temperature", labels, 71),
        line("GPU_POWER_USAGE", labels, 640),
        line("gpu_energy_consumed", labels, 5_000_000),
        line("gpu_clock", labels | {"clock_type": "system", "clock_index": "0"}, 2100),
        line("gpu_clock", labels | {"clock_type": "video", "clock_index": "9"}, 29),
        line("gpu_nodes_total", {}, 8),
    )
    assert (sample.uuid, sample.index, sample.model, sample.driver_version) == (
        labels["gpu_uuid"], 2, "AMD Instinct MI300X OAM", "6.12.12",
    )  # fmt: skip
    assert sample.values == {
        "gpu_util": 88, "fb_used": 120000, "gpu_temp": 71, "power": 640, "energy": 5000, "sm_clock": 2100,
    }  # fmt: skip


def test_a_whole_page_gives_every_card_every_metric() -> None:
    samples = parse(read(whole_page(8)), NODE, AT).samples()
    assert len(samples) == 8
    assert {len(item.values) for item in samples} == {len(samples[0].values)}
    assert len(samples[0].values) >= 40
    assert samples[0].refused["xid"].endswith(", not a whole number"), "a code is never a fraction"


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ("00000000:18:00.0", "0000:18:00.0"),
        ("00000000:0A:00.0", "0000:0a:00.0"),
        ("0000:18:00.0", "0000:18:00.0"),
        ("00010000:18:00.0", "00010000:18:00.0"),
        ("", ""),
        ("<<<NULL>>>", ""),
    ],
)
def test_bus_addresses(labels: str, known: str) -> None:
    assert pci_bus_id(labels) == known
