"""ClusterPolicy, NVIDIADriver and the stack's DaemonSets: parsed, each with its own outcome."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import operator
from fleet.collectors.apis import Apis, parse
from fleet.collectors.daemonsets import DaemonSetWire, PluginSource, plugin_sources
from fleet.collectors.daemonsets import parse as parse_daemonset
from fleet.collectors.errors import Failure
from fleet.collectors.operator import Stack
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body, recording
from tests.collectors.scripted import Server, session

POLICIES = "/apis/nvidia.com/v1/clusterpolicies"
DRIVERS = "/apis/nvidia.com/v1alpha1/nvidiadrivers"
DAEMONSETS = "/apis/apps/v1/daemonsets"
GPU_CLUSTERS = "/apis/nvidia.com/v1alpha1/gpuclusters"
APIS = parse(body("apis"))
NO_OPERATOR = Apis({"apps": ("v1",)}, known=True)


def daemonset(name: str, namespace: str = "gpu-operator", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": spec}},
        "status": {"desiredNumberScheduled": 4, "numberReady": 3, "numberUnavailable": 1},
    }


def listed(kind: str, *items: Any) -> dict[str, Any]:
    return {"kind": f"{kind}List", "metadata": {}, "items": list(items)}


def fetch(routes: dict[str, Any], apis: Apis = APIS) -> Stack:
    whole = {
        POLICIES: body("clusterpolicies_list"),
        DRIVERS: body("nvidiadrivers_empty_list"),
        DAEMONSETS: listed("DaemonSet", daemonset("nvidia-dcgm-exporter"), daemonset("kube-proxy", "kube-system")),
    }
    return operator.fetch(session(Server({**whole, **routes})), apis)


def test_the_recorded_policy() -> None:
    policy = operator.parse_policy(msgspec.json.decode(body("clusterpolicy"), type=operator.PolicyWire))
    assert (policy.name, policy.state, policy.namespace) == ("cluster-policy", "ready", "gpu-operator")
    assert (policy.driver_enabled, policy.use_driver_crd, policy.toolkit_enabled) == (True, False, True)
    assert (policy.dcgm_exporter_enabled, policy.mig_strategy) == (True, "mixed")
    assert (policy.device_plugin_config_name, policy.device_plugin_config_default) == ("time-slicing-config", "")
    assert policy.driver_version == "570.172.08"
    assert [(c.type, c.status, c.reason) for c in policy.conditions] == [
        ("Ready", "True", "Reconciled"),
        ("Error", "False", "Ready"),
    ]


def test_the_recorded_daemonset() -> None:
    (raw,) = recording("daemonsets_page")["body"]["items"]
    snapshot = parse_daemonset(msgspec.convert(raw, DaemonSetWire))
    assert snapshot is not None
    assert (snapshot.namespace, snapshot.name) == ("gpu-operator", "gpu-feature-discovery")
    assert snapshot.component == "gpu-feature-discovery"
    assert snapshot.image == "nvcr.io/nvidia/k8s-device-plugin:v0.17.3"
    assert (snapshot.desired, snapshot.ready, snapshot.unavailable) == (0, 0, 0)


def test_the_whole_stack() -> None:
    stack = fetch({})
    assert (stack.outcome, stack.reason) == (Outcome.COLLECTED, "")
    assert [(d.name, d.desired, d.ready, d.unavailable) for d in stack.snapshot.daemonsets] == [("nvidia-dcgm-exporter", 4, 3, 1)]
    assert stack.namespaces == {"gpu-operator"}
    assert stack.sources == (PluginSource(namespace="gpu-operator", config_map="time-slicing-config"),)
    assert stack.count == 2


def test_a_driver_object() -> None:
    driver = {"metadata": {"name": "d"}, "spec": {"driverType": "gpu", "version": "570"}, "status": {"state": "notReady"}}
    (made,) = fetch({DRIVERS: listed("NVIDIADriver", driver)}).snapshot.drivers
    assert (made.name, made.driver_type, made.version, made.state) == ("d", "gpu", "570", "notReady")


def test_a_gpu_cluster_is_the_operator_in_dra_mode() -> None:
    made = {"metadata": {"name": "gpus"}, "spec": {}, "status": {"state": "ready", "namespace": "nvidia"}}
    stack = fetch({POLICIES: listed("ClusterPolicy"), GPU_CLUSTERS: listed("GPUCluster", made)})
    assert [(item.name, item.state) for item in stack.snapshot.gpu_clusters] == [("gpus", "ready")]
    assert stack.snapshot.dra_mode
    assert stack.namespaces == {"gpu-operator", "nvidia"}


def test_beside_a_cluster_policy_it_is_no_dra_mode() -> None:
    stack = fetch({GPU_CLUSTERS: listed("GPUCluster", {"metadata": {"name": "gpus"}})})
    assert stack.snapshot.gpu_clusters
    assert not stack.snapshot.dra_mode


def test_gpu_clusters_that_may_not_be_read_cost_nothing_else() -> None:
    stack = fetch({GPU_CLUSTERS: 403, "/apis/nvidia.com/v1alpha1": {"resources": [{"name": "gpuclusters"}]}})
    assert stack.outcome is Outcome.COLLECTED
    assert "may not list gpuclusters" in stack.snapshot.gpu_clusters_unknown
    assert stack.sources is not None


def test_without_an_operator_the_daemonsets_alone_are_the_stack() -> None:
    stack = fetch({DAEMONSETS: listed("DaemonSet", daemonset("nvidia-device-plugin-daemonset", "kube-system"))}, NO_OPERATOR)
    assert stack.outcome is Outcome.COLLECTED
    assert stack.snapshot.policies == ()
    assert stack.namespaces == {"kube-system"}
    assert stack.sources == ()


def test_no_gpu_stack_at_all_is_known_to_be_absent() -> None:
    stack = fetch({DAEMONSETS: listed("DaemonSet")}, NO_OPERATOR)
    assert stack.outcome is Outcome.ABSENT
    assert stack.sources == ()


def test_a_missing_group_is_not_even_asked_for() -> None:
    server = Server({DAEMONSETS: listed("DaemonSet")})
    operator.fetch(session(server), NO_OPERATOR)
    assert server.paths() == [DAEMONSETS]


def test_a_refused_policy_keeps_the_daemonsets_and_says_so() -> None:
    resources = {"resources": [{"name": "clusterpolicies"}]}
    stack = fetch({POLICIES: 403, "/apis/nvidia.com/v1": resources})
    assert stack.outcome is Outcome.FORBIDDEN
    assert "muster may not list clusterpolicies.nvidia.com" in stack.reason
    assert len(stack.snapshot.daemonsets) == 1
    assert stack.namespaces is None
    assert stack.sources is None


def test_a_403_of_a_resource_that_is_not_installed_means_absent() -> None:
    stack = fetch({DRIVERS: 403, "/apis/nvidia.com/v1alpha1": {"resources": [{"name": "gpuclusters"}]}})
    assert (stack.outcome, stack.reason) == (Outcome.COLLECTED, "")


def test_a_403_stays_a_403_where_discovery_is_refused_too() -> None:
    stack = fetch({DRIVERS: 403}, Apis())
    assert stack.outcome is Outcome.FORBIDDEN
    assert "is unknown" in stack.reason


def test_a_404_means_absent_where_discovery_was_refused() -> None:
    stack = fetch({DRIVERS: 404, POLICIES: 404}, Apis())
    assert stack.outcome is Outcome.COLLECTED


@pytest.mark.parametrize("failure", [Failure(Outcome.TIMEOUT, "Slow."), 500, b"<html>"])
def test_failing_daemonsets_keep_the_policy(failure: Any) -> None:
    stack = fetch({DAEMONSETS: failure})
    assert stack.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.MALFORMED)
    assert len(stack.snapshot.policies) == 1
    assert stack.sources is None, "a Helm plugin's ConfigMap might be among what was not seen"


# --- where device-plugin configuration comes from ---


def config_manager(default: str = "", fallbacks: str | None = "named,single") -> dict[str, Any]:
    env = [{"name": "CONFIG_FILE_SRCDIR", "value": "/available-configs"}, {"name": "DEFAULT_CONFIG", "value": default}]
    if fallbacks is not None:
        env.append({"name": "FALLBACK_STRATEGIES", "value": fallbacks})
    mounts = [{"name": "available-configs", "mountPath": "/available-configs"}, {"name": "config", "mountPath": "/config"}]
    return {"name": "init", "image": "x", "env": env, "volumeMounts": mounts}


VOLUMES = [{"name": "available-configs", "configMap": {"name": "plugin-configs"}}, {"name": "config"}]


def sources(**spec: Any) -> tuple[PluginSource, ...]:
    return plugin_sources(msgspec.convert(daemonset("nvidia-device-plugin-daemonset", "nvdp", **spec), DaemonSetWire))


def test_a_chart_with_a_config_manager() -> None:
    result = sources(initContainers=[config_manager("a", "named, single")], containers=[config_manager()], volumes=VOLUMES)
    assert result == (PluginSource(namespace="nvdp", config_map="plugin-configs", default="a", fallbacks=("named", "single")),)


@pytest.mark.parametrize(
    "container_fields",
    [
        {"args": ["--fail-on-init-error", "--config-file=/etc/plugin/sharing.yaml"]},
        {"command": ["nvidia-device-plugin", "--config-file", "/etc/plugin/sharing.yaml"]},
        {"env": [{"name": "CONFIG_FILE", "value": "/etc/plugin/sharing.yaml"}]},
    ],
)
def test_a_static_plugin_with_one_mounted_file(container_fields: dict[str, Any]) -> None:
    container = {"name": "plugin", "volumeMounts": [{"name": "c", "mountPath": "/etc/plugin/"}], **container_fields}
    volumes = [{"name": "c", "configMap": {"name": "cm"}}]
    assert sources(containers=[container], volumes=volumes) == (
        PluginSource(namespace="nvdp", config_map="cm", key="sharing.yaml"),
    )
    renamed = [{"name": "c", "configMap": {"name": "cm", "items": [{"key": "time-slicing", "path": "sharing.yaml"}]}}]
    assert sources(containers=[container], volumes=renamed)[0].key == "time-slicing"


def test_a_plugin_without_configuration() -> None:
    assert sources(containers=[{"name": "plugin", "args": ["--mig-strategy=single"]}]) == ()


def test_other_daemonsets_config_maps_are_not_read() -> None:
    raw = daemonset("nvidia-dcgm-exporter", initContainers=[config_manager()], volumes=VOLUMES)
    assert plugin_sources(msgspec.convert(raw, DaemonSetWire)) == ()


def test_the_operators_config_learns_its_fallbacks_from_the_daemonset() -> None:
    volumes = [{"name": "available-configs", "configMap": {"name": "time-slicing-config"}}]
    plugin = daemonset("nvidia-device-plugin-daemonset", initContainers=[config_manager(fallbacks="empty")], volumes=volumes)
    assert fetch({DAEMONSETS: listed("DaemonSet", plugin)}).sources == (
        PluginSource(namespace="gpu-operator", config_map="time-slicing-config", fallbacks=("empty",)),
    )
