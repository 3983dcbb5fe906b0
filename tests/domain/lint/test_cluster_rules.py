"""Rules over a whole cluster: drivers that differ, counters that are not enabled."""

from __future__ import annotations

from typing import Any

from fleet.domain.catalog.metrics import load
from fleet.domain.evaluation.rules import run_cluster
from fleet.domain.evaluation.subject import NodeSubject, Policy
from fleet.domain.findings import Severity, Status
from fleet.domain.lint.rules import counters_not_enabled, driver_skew
from fleet.domain.lint.rules.counters_not_enabled import expected_on
from fleet.domain.snapshot.sections import Outcome
from tests.builders import H100, make_node, make_pod
from tests.domain.lint.subjects import ask_all, exporter, keys, subject_of

DRIVER = "nvidia.com/cuda.driver-version.full"
EVERY = (*(metric.id for metric in load().metric), *(special.field for special in load().special))
DEFAULT = tuple(metric.id for metric in load().metric if metric.default)


def on(version: str | None, name: str = "n", pool: str = "", **labels: str) -> NodeSubject:
    return subject_of(make_node(name, labels={DRIVER: version, **labels}), policy=Policy(pool=pool))


def test_drivers_differ_within_the_cluster() -> None:
    result = ask_all(driver_skew.RULE, *(on("580.95.05") for _ in range(3)), on("570.172.08"))
    assert (result.status, keys(result)) == (Status.WARN, ["nvidia"])
    assert result.findings[0].text == "Drivers differ within the cluster: 3 nodes on 580.95.05, 1 node on 570.172.08."
    assert (result.findings[0].subject, result.findings[0].severity) == ("cluster", Severity.WARNING)
    assert result.findings[0].remedy
    assert len(result.findings[0].evidence) == 2


def test_a_version_without_its_zeros_is_the_same() -> None:
    assert ask_all(driver_skew.RULE, on("580.95.05"), on("580.95.5"), on("580.095.05")).status == Status.PASS
    result = ask_all(driver_skew.RULE, on("580.95.05"), on("580.95.05"), on("580.95.5"), on("580.95.50"))
    assert "3 nodes on 580.95.05, 1 node on 580.95.50" in result.findings[0].text


def test_pools_may_differ_from_each_other_but_not_inside() -> None:
    calm = [on("580.95.05", pool="a"), on("580.95.05", pool="a"), on("570.172.08", pool="b"), on("570.172.08", pool="b")]
    assert ask_all(driver_skew.RULE, *calm).status == Status.PASS
    result = ask_all(driver_skew.RULE, *calm, on("535.1", pool="b"))
    assert (keys(result), result.findings[0].subject) == (["b:nvidia"], "pool")


def test_an_upgrade_on_its_way_is_information() -> None:
    for state in ("drain-required", "upgrade-required"):
        labels = {DRIVER: "570.172.08", "nvidia.com/gpu-driver-upgrade-state": state}
        driver = make_pod("nvidia-driver", node="n", gpus=0, component="driver")
        result = ask_all(driver_skew.RULE, on("580.95.05"), subject_of(make_node("n", labels=labels), pods=[driver]))
        assert result.findings[0].severity == Severity.INFO


def test_an_upgrade_state_without_a_managed_driver_excuses_no_skew() -> None:
    own = {"nvidia.com/gpu.deploy.driver": "pre-installed"}
    for state in ("pod-restart-required", "upgrade-required"):
        stale = on("570.172.08", **own, **{"nvidia.com/gpu-driver-upgrade-state": state})
        assert ask_all(driver_skew.RULE, on("580.95.05"), stale).findings[0].severity == Severity.WARNING


def test_an_unreported_driver_is_unknown_and_keeps_open_findings() -> None:
    assert ask_all(driver_skew.RULE, on("580.95.05"), on(None)).status == Status.UNKNOWN
    apart = ask_all(driver_skew.RULE, on("1", pool="a"), on("2", pool="a"), on("1", pool="b"), on(None, pool="b"))
    assert (keys(apart), apart.blind) == (["a:nvidia"], ("b:nvidia",))


def test_one_node_is_no_cluster_to_compare() -> None:
    assert ask_all(driver_skew.RULE, on("580.95.05")).status == Status.NOT_APPLICABLE
    assert run_cluster([driver_skew.RULE], []) == []


def exported(*metrics: str, node: Any = None, **fields: Any) -> NodeSubject:
    return subject_of(node, exporters=[exporter(*metrics, **fields)])


def test_health_counters_that_are_not_exported() -> None:
    result = ask_all(counters_not_enabled.RULE, exported(*DEFAULT), exported(*DEFAULT))
    assert (result.status, keys(result)) == (Status.WARN, [""])
    finding = result.findings[0]
    assert (finding.severity, finding.subject) == (Severity.INFO, "cluster")
    assert "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL, counter" in finding.remedy
    assert {item.key for item in finding.evidence} >= {"DCGM_FI_DEV_ROW_REMAP_PENDING", "DCGM_EXP_GPU_HEALTH_STATUS"}


def test_all_counters_switched_on_pass() -> None:
    assert ask_all(counters_not_enabled.RULE, exported(*EVERY)).status == Status.PASS


def test_exporters_that_differ_are_a_finding_of_their_own() -> None:
    result = ask_all(counters_not_enabled.RULE, exported(*EVERY), exported(*DEFAULT))
    assert keys(result) == ["some"]
    assert result.findings[0].sustain_s == 0  # the start of a cluster's finding is not kept


def test_hardware_without_a_part_is_not_asked_for_its_counter() -> None:
    t4, h100 = ({metric.id for metric in expected_on(product)} for product in ("Tesla-T4", H100))
    assert not any(item.startswith(("nvlink", "row_remap", "remapped")) for item in t4)
    assert {"nvlink_replay", "row_remap_failure", "xid"} <= h100
    result = ask_all(counters_not_enabled.RULE, exported(*t4, node=make_node(product="Tesla-T4", gpus=1)))
    assert result.status == Status.PASS


def test_exporters_that_do_not_answer_say_nothing() -> None:
    assert ask_all(counters_not_enabled.RULE, subject_of()).status == Status.NOT_ENABLED
    silent = exported(outcome=Outcome.TIMEOUT)
    assert ask_all(counters_not_enabled.RULE, silent).status == Status.UNKNOWN
    half = ask_all(counters_not_enabled.RULE, exported(*EVERY), silent)
    assert (half.status, set(half.blind)) == (Status.UNKNOWN, {"", "some"})


def test_other_vendors_have_other_exporters() -> None:
    amd = make_node(gpus=0, labels={"amd.com/gpu.product-name": "AMD_Instinct_MI300X"}, capacity={"amd.com/gpu": 8})
    assert ask_all(counters_not_enabled.RULE, subject_of(amd)).status == Status.NOT_APPLICABLE
