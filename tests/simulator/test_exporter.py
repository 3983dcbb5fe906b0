"""The DCGM exporters answer through the API server, in the exporter's own format, with every trap of the real ones."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve
from fleet.simulator.stories import Cluster
from tests.simulator.conftest import Client

Samples = dict[str, list[tuple[dict[str, str], float]]]


def _scrape(client: Client, cluster: Cluster, node: str) -> Samples:
    """Samples by metric name, read from the node's exporter pod by way of the API server."""
    pod = next(pod for pod in cluster.on_node[node].values() if "dcgm-exporter" in pod.template.name)
    answer = client.ask(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:9400/proxy/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples: Samples = defaultdict(list)
    for family in text_string_to_metric_families(answer.data.decode()):
        for sample in family.samples:
            samples[sample.name.removesuffix("_total") if sample.name not in samples else sample.name].append(
                (dict(sample.labels), sample.value)
            )
    return samples


@pytest.fixture(scope="module")
def served() -> Any:
    fleet = build_fleet(nodes=0)
    with serve(fleet) as simulation:
        yield simulation


def _with(served: Any, kind: str, cluster: str = "prod-us-east", **pod: Any) -> tuple[Client, Cluster, str]:
    made: Cluster = served.fleet[cluster]
    node = made.add_node(kind, name=f"n{len(made.nodes)}")
    if pod:
        made.add_pod(node.name, **pod)
    return Client(served, cluster), made, node.name


def test_a_node_with_a_training_pod(served: Any) -> None:
    client, cluster, node = _with(served, "h100", slots=6, work="train")
    samples = _scrape(client, cluster, node)
    utilisation = samples["DCGM_FI_DEV_GPU_UTIL"]
    assert [labels["gpu"] for labels, _ in utilisation] == [str(index) for index in range(8)]
    assert [value > 85 for _, value in utilisation] == [True] * 6 + [False] * 2
    labels = utilisation[0][0]
    assert labels["modelName"] == "NVIDIA H100 80GB HBM3", "the driver's name, with blanks"
    assert re.fullmatch(r"00000000:[0-9A-F]{2}:00\.0", labels["pci_bus_id"])
    assert labels["hostname"] == node, "since 4.6 in small letters"
    assert labels["container"] == "trainer"
    assert "pod" not in utilisation[7][0], "a free card names no pod at all"
    used = dict(zip("01234567", samples["DCGM_FI_DEV_FB_USED"], strict=True))["0"][1]
    free = samples["DCGM_FI_DEV_FB_FREE"][0][1]
    reserved = samples["DCGM_FI_DEV_FB_RESERVED"][0][1]
    assert used + free + reserved == 81559
    assert 0 < samples["DCGM_FI_PROF_GR_ENGINE_ACTIVE"][0][1] <= 1
    assert samples["DCGM_FI_DEV_XID_ERRORS"][0][0]["err_msg"] == "No Error"
    assert "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL" not in samples, "not exported by default"


def test_a_lost_card_has_no_samples_but_its_last_error(served: Any) -> None:
    client, cluster, node = _with(served, "h100")
    cluster.fail_gpu(node, 5)
    samples = _scrape(client, cluster, node)
    assert {labels["gpu"] for labels, _ in samples["DCGM_FI_DEV_GPU_TEMP"]} == set("0123467")
    assert {labels["gpu"]: value for labels, value in samples["DCGM_FI_DEV_XID_ERRORS"]}["5"] == 79


def test_mig_instances(served: Any) -> None:
    client, cluster, node = _with(served, "lab-mig-partly", "research-onprem", resource="nvidia.com/mig-1g.10gb")
    samples = _scrape(client, cluster, node)
    assert {labels["gpu"] for labels, _ in samples["DCGM_FI_DEV_GPU_UTIL"]} == set("0123"), "instances have no such value"
    memory = samples["DCGM_FI_DEV_FB_USED"]
    assert len(memory) == 4 + 28
    cut = [labels for labels, _ in memory if "GPU_I_PROFILE" in labels]
    assert {labels["GPU_I_PROFILE"] for labels in cut} == {"1g.10gb"}
    assert len({(labels["UUID"], labels["GPU_I_ID"]) for labels in cut}) == 28
    assert len({labels["UUID"] for labels in cut}) == 4, "the parent card's UUID"
    assert cut[0]["Hostname"] == node, "before 4.6 with a capital"
    assert sum("pod" in labels for labels in cut) == 1


def test_shares_show_one_pod_for_the_whole_card(served: Any) -> None:
    client, cluster, node = _with(served, "t4-sliced")
    for _ in range(6):
        cluster.add_pod(node)
    samples = _scrape(client, cluster, node)
    assert len(samples["DCGM_FI_DEV_GPU_UTIL"]) == 4
    assert sum("pod" in labels for labels, _ in samples["DCGM_FI_DEV_GPU_UTIL"]) == 2, "six pods sit on two cards"
    assert "DCGM_FI_DEV_ROW_REMAP_FAILURE" not in samples, "no such memory on a T4"


def test_renamed_shares_show_no_pod(served: Any) -> None:
    client, cluster, node = _with(served, "a10g-renamed", slots=1)
    assert not any("pod" in labels for labels, _ in _scrape(client, cluster, node)["DCGM_FI_DEV_GPU_UTIL"])


def test_values_move_with_the_clock_and_stand_still_with_it() -> None:
    fleet = build_fleet(clusters=1, nodes=0)
    cluster = fleet.clusters[0]
    cluster.add_node("h100", name="n")
    cluster.add_pod("n", slots=8)
    with serve(fleet) as simulation:
        client = Client(simulation, cluster.name)
        first = _scrape(client, cluster, "n")
        assert _scrape(client, cluster, "n") == first
        fleet.advance(15)
        later = _scrape(client, cluster, "n")
    assert later["DCGM_FI_DEV_FB_USED"] != first["DCGM_FI_DEV_FB_USED"]


def test_only_exporters_answer_and_only_on_their_port(us_east: Client) -> None:
    cluster = us_east.simulation.fleet["prod-us-east"]
    exporter = next(pod for pod in cluster.pods.values() if pod.template.name == "nvidia-dcgm-exporter")
    plugin = next(pod for pod in cluster.pods.values() if pod.template.name == "gpu-feature-discovery")
    base = "/api/v1/namespaces/gpu-operator/pods"
    assert us_east.ask(f"{base}/{exporter.name}:9400/proxy/health").data == b"OK\n"
    assert us_east.ask(f"{base}/{exporter.name}:9400/proxy/other").status == 404
    refused = us_east.ask(f"{base}/{exporter.name}:8080/proxy/metrics")
    assert refused.status == 503
    assert "connection refused" in refused.json()["message"]
    assert us_east.ask(f"{base}/{plugin.name}:9400/proxy/metrics").status == 503
    assert us_east.ask(f"{base}/absent:9400/proxy/metrics").json()["reason"] == "NotFound"
    assert us_east.ask(f"{base}/{exporter.name}:9400/proxy/metrics", token=None).status == 403
