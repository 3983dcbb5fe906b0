from __future__ import annotations

from collections import Counter

from fleet.domain.catalog.metrics import by_amd_wire, by_id, by_wire, load, special_by_wire


def test_no_name_stands_for_two_metrics() -> None:
    catalog = load()
    assert len(by_id()) == len(catalog.metric)
    wires = Counter(name for metric in catalog.metric for name in (*metric.wires, *metric.scaled))
    wires.update(special.wire for special in catalog.special)
    assert [name for name, times in wires.items() if times > 1] == []
    amd = Counter(name for metric in catalog.metric for name in metric.amd)
    assert [name for name, times in amd.items() if times > 1] == []


def test_every_line_of_the_counters_csv_is_one_the_exporter_takes() -> None:
    """Field, type, help: the exporter refuses a line with another number of columns."""
    for metric in load().metric:
        wire, kind, text = metric.csv.split(", ")
        assert wire == metric.wires[0], metric.id
        assert kind == metric.kind, metric.id
        assert text, metric.id
    for special in load().special:
        assert special.csv.startswith(f"{special.wire}, "), special.wire
        assert special.csv.count(",") == 2, special.wire


def test_old_and_new_names_are_the_same_metric() -> None:
    for old, new in [
        ("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR"),
        ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS"),
        ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS"),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO"),
        ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"),
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED"),
    ]:
        assert by_wire()[old] == by_wire()[new]


def test_other_units_come_with_a_factor() -> None:
    energy, factor = by_wire()["DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL"]
    assert (energy.unit, factor) == ("mJ", 1000)
    used, factor = by_wire()["DCGM_FI_DEV_FB_USED_BYTES"]
    assert used.id == "fb_used"
    assert 80 * 2**30 * factor == 81920
    energy, factor = by_amd_wire()["gpu_energy_consumed"]  # AMD counts microjoules
    assert (energy.id, factor) == ("energy", 0.001)


def test_what_is_commented_out_by_default_says_so() -> None:
    metrics = by_id()
    assert not any(metrics[item].default for item in ("ecc_dbe_volatile", "row_remap_pending", "power_violation", "sm_active"))
    assert all(metrics[entry].default for entry in ("xid", "row_remap_failure", "fb_used", "gr_engine_active"))
    assert set(special_by_wire()) == {"DCGM_EXP_XID_ERRORS_COUNT", "DCGM_EXP_GPU_HEALTH_STATUS", "DCGM_EXP_CLOCK_EVENTS_COUNT"}
