"""The page of one node: what is wrong first, what is not measured, its week, a moment of it, two moments compared."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories import (
    a_cluster,
    a_finding_saying,
    a_gpu,
    a_ladder,
    a_model_server,
    a_node,
    a_pod,
    a_resource,
    a_sample,
    an_exporter,
)
from tests.web.seeding import a_broken_node
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db
BROKEN = "/nodes/prod-us-east/ip-10-40-17-203.ec2.internal/"


def card(page: str, index: int) -> str:
    """The text of one card's row."""
    return page.split(f"{index:08x}", 1)[1].split(f"{index + 1:08x}")[0].split("Newest sample")[0]


def test_the_headline_says_where_it_stops_since_when_and_what_to_do(reader: Any) -> None:
    a_broken_node()
    page = text_of(reader, BROKEN)
    assert "GPU 5 fell off the PCIe bus (Xid 79)" in page
    assert "Failed at rung 5, GPUs advertised" in page
    assert "16 h 45 min" in page
    assert "Rungs 6 to 9 are blocked" in page
    html = reader.get(BROKEN).content.decode()
    assert html.index("What to do") < html.index("Stop and start the instance.") < html.index("Ladder")
    assert 'data-copy="kubectl drain' not in html, "the remedy is that of the cause, not a second one"


def test_a_ready_node_has_one_quiet_line(reader: Any) -> None:
    node = a_node(verdict="ready", usable=8, rungs=a_ladder(), verdict_reason="Every required rung passes.")
    html = reader.get(f"/nodes/east/{node.name}/").content.decode()
    assert "Every required rung passes" in html
    assert 'class="headline v-' not in html


def test_the_ladder_opens_at_the_broken_rung_and_says_what_blocks_the_rest(reader: Any) -> None:
    a_broken_node()
    html = reader.get(BROKEN).content.decode()
    assert re.findall(r'<details class="rung[^>]*id="rung-(\w+)"[^>]* open', html) == ["resources_advertised"]
    page = text_of(reader, BROKEN)
    assert "by rung 5; own status fail" in page
    assert re.search(r"Labels accurate Blocked by rung 5; last pass", page)


def test_not_enabled_says_what_turns_it_on_and_waived_is_hollow_with_its_name(reader: Any) -> None:
    waiver = {"rung": "cuda_works", "reason": "no validator here", "by": "otto", "at": "2026-11-01T00:00:00Z", "where": "cluster"}
    rungs = a_ladder(
        cuda_works={"status": "not_enabled", "waiver": waiver, "reason": "No validator runs here."},
        telemetry_healthy={"status": "not_enabled", "reason": "No exporter.", "remedy": "Deploy dcgm-exporter."},
    )
    node = a_node(verdict="unknown", broken_rung="telemetry_healthy", rungs=rungs)
    page = text_of(reader, f"/nodes/east/{node.name}/")
    assert "CUDA works Waived by otto: no validator here" in page
    assert "Evaluated alone: No validator runs here." in page
    html = reader.get(f"/nodes/east/{node.name}/").content.decode()
    assert '<use href="#sh-hollow">' in html


def test_a_card_shows_its_values_and_a_lost_one_says_since_when(reader: Any) -> None:
    a_broken_node()
    page = text_of(reader, BROKEN)
    assert "97 %" in card(page, 0)
    assert "71.8" in card(page, 0)
    lost = card(page, 5)
    assert "No sample since" in lost
    assert "unmeasured" in lost
    assert "Xid 79" in lost
    assert " %" not in lost, "an old value must not stand as a current one"
    assert "squatter" in card(page, 7)


def test_the_drawing_shows_the_lost_gpu_and_the_squatter(reader: Any) -> None:
    a_broken_node()
    html = reader.get(BROKEN).content.decode()
    assert 'aria-label="8 GPUs: 5 held by a pod, 1 without a pod, 1 without a sample, 1 used without a slot"' in html


def test_an_unexported_metric_is_not_enabled_with_its_line_and_never_zero(reader: Any) -> None:
    node = a_node()
    an_exporter(node, metrics=["gpu_util", "fb_used", "gpu_temp", "power"])
    sample = a_sample(node, 0)
    sample.sample["values"].pop("ecc_dbe_volatile")
    sample.sample["values"].pop("power")
    sample.save()
    page = text_of(reader, f"/nodes/east/{node.name}/")
    row = card(page, 0)
    assert "not enabled" in row
    assert "not reported" in row or "blank" in row
    assert "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL" in page
    assert " 0 " not in row


def test_a_measured_zero_is_a_zero(reader: Any) -> None:
    node = a_node()
    an_exporter(node)
    a_sample(node, 0, gpu_util=0)
    assert "0 %" in card(text_of(reader, f"/nodes/east/{node.name}/"), 0)


def test_without_an_exporter_the_page_says_why_nothing_is_measured(reader: Any) -> None:
    node = a_node()
    a_gpu(node, 0)
    assert "No exporter of GPU metrics is known on this node" in text_of(reader, f"/nodes/east/{node.name}/")
    an_exporter(node, outcome="forbidden", reason="The service account may not get pods/proxy.")
    assert "may not get pods/proxy" in text_of(reader, f"/nodes/east/{node.name}/")


def test_use_that_no_pod_is_named_for_is_seen_only_where_pods_are_named(reader: Any) -> None:
    node = a_node()
    an_exporter(node)
    a_sample(node, 0, gpu_util=40)
    a_pod(node, "somewhere-on-the-node")
    assert "in use by an unknown pod" not in text_of(reader, f"/nodes/east/{node.name}/")
    a_pod(node, "vllm-0")
    a_sample(node, 1, pods=("vllm-0",))
    page = text_of(reader, f"/nodes/east/{node.name}/")
    assert "in use by an unknown pod" in card(page, 0)
    assert "vllm-0" in card(page, 1)


def test_a_pod_that_finished_is_neither_named_nor_a_squatter(reader: Any) -> None:
    """An exporter goes on naming a pod for up to half an hour after its end."""
    node = a_node()
    an_exporter(node)
    a_pod(node, "batch-0", phase="Succeeded", holds=False, ready=False)
    a_sample(node, 0, pods=("batch-0",), gpu_util=0)
    row = card(text_of(reader, f"/nodes/east/{node.name}/"), 0)
    assert "batch-0" not in row
    assert "squatter" not in row


def test_the_kubelets_word_names_a_pod_without_the_exporter(reader: Any) -> None:
    node = a_node()
    an_exporter(node)
    sample = a_sample(node, 0)
    devices = [{"resource": "nvidia.com/gpu", "device_id": f"{sample.uuid}::0", "health": ""}]
    a_pod(node, "vllm-9", snapshot={"devices": devices})
    assert "vllm-9" in card(text_of(reader, f"/nodes/east/{node.name}/"), 0)


def test_mig_instances_stand_below_their_card(reader: Any) -> None:
    node = a_node(partitioning="mig-single", mode="MIG 7×1g.10gb")
    an_exporter(node)
    sample = a_sample(node, 0)
    values = {"fb_used": 4000, "fb_free": 5000, "gr_engine_active": 0.37}
    sample.pk, sample.gi_id, sample.sample = None, "7", {**sample.sample, "gi_id": "7", "profile": "1g.10gb", "values": values}
    sample.save()
    row = card(text_of(reader, f"/nodes/east/{node.name}/"), 0)
    assert "1g.10gb" in row
    assert "37 %" in row


def test_contradictions_are_shown_beside_the_server(reader: Any) -> None:
    a_broken_node()
    page = text_of(reader, BROKEN)
    assert "The KV cache is full (99 %) while its GPUs are idle" in page
    node = a_node()
    an_exporter(node)
    a_sample(node, 0, gpu_util=97, pods=("vllm-0",))
    a_pod(node, "vllm-0")
    a_model_server(node, tokens_per_s=0)
    assert "GPU use is 97 %, but no tokens are generated" in text_of(reader, f"/nodes/east/{node.name}/")


def test_a_silent_server_has_no_numbers(reader: Any) -> None:
    node = a_node()
    a_model_server(node, at=datetime.now(UTC) - timedelta(hours=2))
    page = text_of(reader, f"/nodes/east/{node.name}/")
    assert "Unmeasured: No recent metrics." in page
    assert "900" not in page


def test_the_timeline_draws_trouble_thick_and_says_it_in_words(reader: Any) -> None:
    a_broken_node()
    html = reader.get(BROKEN).content.decode()
    lanes = re.search(r'class="timeline__labels".*?</svg>', html, re.S)[0]
    assert re.findall(r">([^<]+)</text>", lanes) == ["Verdict", "5 advertised", "4 cuda", "2 driver", "Findings", "Changes"]
    assert re.search(r'timeline__block v-not_ready"[^>]*aria-label="resources_advertised: Fail', html)
    assert re.search(r'timeline__block v-ready timeline__block--thin"[^>]*aria-label="driver_loaded: Pass', html)
    page = text_of(reader, BROKEN)
    assert re.search(r"Ready 8\d\.\d % of known time", page)
    assert "driver 570.172.08 → 580.95.05" in page
    table = html.split("Show as table")[1]
    for words in ("Not ready, resources_advertised", "allocatable 8 → 7", "PCIe replay errors"):
        assert words in table


def test_time_in_which_nothing_was_judged_is_unknown_not_quiet(reader: Any) -> None:
    node = a_node()
    html = reader.get(f"/nodes/east/{node.name}/").content.decode()
    assert 'aria-label="Verdict: Not evaluated' in html
    assert "Not evaluated in this time" in html


@pytest.mark.parametrize(("window", "words"), [("24h", "Last 24 h"), ("7d", "Last 7 d"), ("30d", "Last 30 d"), ("x", "Last 7 d")])
def test_the_window_can_be_chosen(reader: Any, window: str, words: str) -> None:
    a_broken_node()
    assert words in text_of(reader, f"{BROKEN}?window={window}")


def test_a_custom_range_of_the_timeline_is_in_the_address(reader: Any) -> None:
    now = datetime.now(UTC)
    a_broken_node(now)
    page = text_of(
        reader, f"{BROKEN}?since={now - timedelta(days=4):%Y-%m-%dT%H:%M}&until={now - timedelta(days=3):%Y-%m-%dT%H:%M}"
    )
    days = f"{now - timedelta(days=4):%-d %b %H:%M} to {now - timedelta(days=3):%-d %b %H:%M}"
    assert days in page
    assert "A custom range needs the time it begins." in text_of(reader, f"{BROKEN}?until=2026-11-22T21:40")


def test_as_of_a_moment_shows_what_stood_then_and_nothing_of_today(reader: Any) -> None:
    now = datetime.now(UTC)
    a_broken_node(now)
    at = quote((now - timedelta(days=3) + timedelta(hours=1)).isoformat(timespec="seconds"))
    page, html = text_of(reader, f"{BROKEN}?at={at}"), reader.get(f"{BROKEN}?at={at}").content.decode()
    assert "As of" in page
    assert "back to live" in page
    assert "Warning at rung 7, Telemetry healthy" in page
    assert "PCIe replay errors are rising on GPU 5." in page
    assert "Failed at" not in page
    assert "No sample since" not in page
    assert "data-refresh-url" not in html
    assert "data-live" not in html
    before, after = re.findall(r'class="asof__step not-phone"\s+href="([^"]+)"', html)
    assert "Warning at rung" in text_of(reader, before), "a step back leads to where this verdict began"
    assert "Ready" in text_of(reader, after)


def test_before_it_was_there_the_page_says_so(reader: Any) -> None:
    a_broken_node()
    assert "Node absent at that moment" in text_of(reader, f"{BROKEN}?at=2020-01-01T00:00Z")


def test_two_moments_compared(reader: Any) -> None:
    now = datetime.now(UTC)
    a_broken_node(now)
    start, end = (quote(at.isoformat(timespec="seconds")) for at in (now - timedelta(days=2), now))
    page = text_of(reader, f"{BROKEN}?from={start}&to={end}")
    assert "compared with" in page
    assert "resources_advertised Pass Fail" in page
    assert "allocatable nvidia.com/gpu 8 7" in page
    assert "1 opened, 0 resolved" in page
    turned = text_of(reader, f"{BROKEN}?from={end}&to={start}")
    assert "1 opened, 0 resolved" in turned, "the earlier moment comes first, however they are given"
    assert "data-refresh-url" not in reader.get(f"{BROKEN}?from={start}&to={end}").content.decode()


def test_the_same_moment_twice_has_no_difference(reader: Any) -> None:
    now = datetime.now(UTC)
    a_broken_node(now)
    at = quote((now - timedelta(days=1)).isoformat(timespec="seconds"))
    page = text_of(reader, f"{BROKEN}?from={at}&to={at}")
    assert page.count("No differences.") == 3


def test_a_stale_node_says_when_its_verdict_turns_unknown(reader: Any) -> None:
    late = datetime.now(UTC) - timedelta(minutes=11)
    cluster = a_cluster("west", read_at=late, failing_since=late, outcome="failed", error="No answer after 10 s.")
    node = a_node(cluster=cluster, verdict="ready", usable=8, rungs=a_ladder())
    page = text_of(reader, f"/nodes/west/{node.name}/")
    assert "its verdicts turn unknown at" in page
    assert "(last known)" in page


def test_hostile_texts_of_telemetry_and_history_stay_texts(reader: Any) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    node = a_node(
        verdict=bad[:20],
        broken_rung=bad[:40],
        verdict_reason=bad,
        verdict_remedy=f"{bad}: kubectl {bad}",
        rungs=a_ladder(cuda_works={"reason": bad, "evidence": [{"source": bad, "key": bad, "value": bad}]}),
    )
    an_exporter(node, reason=bad)
    sample = a_sample(node, 0, pods=(bad,))
    sample.sample |= {"model": bad, "index": None}
    sample.save()
    a_model_server(node, bad[:60], models=[bad])
    a_finding_saying(node, bad, rule=bad[:60], key=sample.uuid, severity=bad[:20], rung=bad[:40], remedy=bad)
    html = reader.get(f"/nodes/east/{node.name}/").content.decode() + reader.get("/").content.decode()
    assert "<img" not in html


def test_the_number_of_queries_does_not_grow_with_the_cards(reader: Any) -> None:
    def asked(name: str) -> int:
        reader.get(f"/nodes/east/{name}/")
        with CaptureQueriesContext(connection) as captured:
            reader.get(f"/nodes/east/{name}/")
        return len(captured)

    def node_with(gpus: int) -> str:
        node = a_node(verdict="ready", rungs=a_ladder())
        for index in range(gpus):
            a_gpu(node, index)
            a_sample(node, index, pods=(f"vllm-{index}",))
            a_pod(node, f"vllm-{index}")
            a_model_server(node, f"vllm-{index}")
            a_finding_saying(node, f"Something about {index}")
        return node.name

    few = asked(node_with(1))
    assert asked(node_with(16)) == few


def test_a_gpu_of_which_only_the_last_xid_is_left_is_lost_and_crossed_in_its_place(reader: Any) -> None:
    node = a_node(physical=2, expected=2)
    a_resource(node, replicas=1, capacity=2, allocatable=2, requested=0, free=2, predicted=None)
    an_exporter(node)
    lost = a_sample(node, 0)
    lost.sample["values"] = {"xid": 79}
    lost.save()
    a_sample(node, 1)
    html = reader.get(f"/nodes/east/{node.name}/").content.decode()
    assert "the exporter reports only its last Xid" in html
    assert 'aria-label="2 GPUs: 1 without a pod, 1 without a sample"' in html
    assert html.index("cell--broken") < html.index("cell--free"), "the cross is on GPU 0"


def test_mig_instances_fold_under_their_gpu(reader: Any) -> None:
    node = a_node(mode="MIG 2×3g.40gb")
    an_exporter(node)
    a_pod(node, "a", namespace="inference")
    for instance in ("1", "2"):
        part = a_sample(node, 0, pods=("a",) if instance == "1" else ())
        part.gi_id = instance
        part.sample |= {"gi_id": instance, "profile": "3g.40gb"}
        part.save()
    a_sample(node, 0)
    html = reader.get(f"/nodes/east/{node.name}/").content.decode()
    folded = re.search(r'<details class="more" id="migs-[^"]+">(.*?)</summary>', html, re.S)
    assert folded is not None
    assert "2 × 3g.40gb; 1 with a pod" in folded[1]
