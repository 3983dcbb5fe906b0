"""The Helm chart: what its examples render to is valid, runs as docker-compose.yml does, and has no right too many."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from fleet.config import env
from tests.deploy.chart import CHART, EXAMPLES, RENDERED, ROOT, can_render, digest, render

Object = dict[str, Any]
KUBERNETES = "1.37"
NAMES = [path.stem for path in sorted(EXAMPLES.glob("*.yaml"))]
OBJECTS: dict[str, list[Object]] = {
    name: [item for item in yaml.safe_load_all((RENDERED / f"{name}.yaml").read_text()) if item] for name in NAMES
}
EVERY = [pytest.param(item, id=f"{name}-{item['kind']}-{item['metadata']['name']}") for name in NAMES for item in OBJECTS[name]]
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DOCUMENTED = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
# The chart sets these itself, from values of their own.
OWN = {"DATABASE_URL", "MUSTER_BROKER_URL", "MUSTER_KUBECONFIG", "MUSTER_CLUSTER_NAME", "MUSTER_DEMO", "MUSTER_HEARTBEAT_FILE"}
FIXED_BY_IMAGE = {"PORT", "MUSTER_HEALTH_PORT", "MUSTER_HOME", "MUSTER_STATIC_ROOT", "DEBUG"}


def of_kind(name: str, kind: str) -> list[Object]:
    return [item for item in OBJECTS[name] if item["kind"] == kind]


def pods(name: str) -> dict[str, Object]:
    """The pod template of each process, by component."""
    owners = [*of_kind(name, "Deployment"), *of_kind(name, "Job")]
    return {
        item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: item["spec"]["template"] for item in owners
    }


def environment(pod: Object) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}


def example(name: str) -> Object:
    """The values of an example over the chart's, as Helm validates them."""
    return _over(yaml.safe_load((CHART / "values.yaml").read_text()), yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()))


def _over(defaults: Object, values: Object) -> Object:
    both = {key: _over(defaults[key], values[key]) for key in values if isinstance(values[key], dict) and key in defaults}
    return defaults | values | both


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_was_rendered_from_this_chart(name: str, tmp_path: Path) -> None:
    kept = (RENDERED / f"{name}.yaml").read_text()
    assert kept.startswith(f"# {digest(EXAMPLES / f'{name}.yaml')}:"), "run `make chart`"
    if can_render():
        assert render(EXAMPLES / f"{name}.yaml", tmp_path) == kept.partition("\n")[2]


@pytest.mark.parametrize("item", EVERY)
def test_every_object_is_one_that_kubernetes_reads_whole(item: Object) -> None:
    if not item["apiVersion"].startswith("monitoring.coreos.com/"):
        kubernetes_validate.validate(item, KUBERNETES, strict=True)
    labels = item["metadata"]["labels"]
    assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"} <= set(labels)
    assert len(item["metadata"]["name"]) <= 63


def test_monitoring_objects_have_the_shape_that_the_operator_reads() -> None:
    """Field names by the API reference of prometheus-operator, monitoring.coreos.com/v1."""
    (monitor,), (rule,) = of_kind("many-clusters", "ServiceMonitor"), of_kind("many-clusters", "PrometheusRule")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    assert set(endpoint) == {"port", "path", "interval", "authorization", "relabelings"}
    assert {key for entry in endpoint["relabelings"] for key in entry} <= {"targetLabel", "replacement", "action", "regex"}
    (service,) = of_kind("many-clusters", "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "muster-alerts.yaml").read_text())
    assert rule["spec"] == alerts


def test_prometheus_may_ask_the_service_by_its_name() -> None:
    (monitor,) = of_kind("many-clusters", "ServiceMonitor")
    address = next(
        rule["replacement"] for rule in monitor["spec"]["endpoints"][0]["relabelings"] if rule.get("targetLabel") == "__address__"
    )
    assert address.partition(":")[0] in environment(pods("many-clusters")["web"])["ALLOWED_HOSTS"].split(",")


@pytest.mark.parametrize("name", NAMES)
def test_processes_run_what_compose_runs(name: str) -> None:
    commands = {component: pod["spec"]["containers"][0].get("command") for component, pod in pods(name).items()}
    expected = {name: COMPOSE[name].get("command") for name in ("web", "worker-collect", "worker-default", "beat", "migrate")}
    assert commands == expected


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_files_and_settings_have_their_documented_names(name: str) -> None:
    for component, pod in pods(name).items():
        given = environment(pod)
        assert not set(env.SECRETS) & set(given), component
        files = {setting for setting in given if setting not in DOCUMENTED}
        assert {setting.removesuffix("_FILE") for setting in files} <= set(env.SECRETS)
        mounts = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        assert all(given[setting].rpartition("/")[0] in mounts for setting in files)
        assert given["SECRET_KEY_FILE"]


@pytest.mark.parametrize("name", NAMES)
def test_every_pod_meets_the_restricted_standard_and_cannot_be_written_to(name: str) -> None:
    for component, pod in pods(name).items():
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True, component
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_only_processes_that_read_clusters_hold_a_token_or_a_kubeconfig() -> None:
    holds_token = {component for component, pod in pods("in-cluster").items() if pod["spec"]["automountServiceAccountToken"]}
    assert holds_token == {"worker-collect", "worker-default"}
    assert not any(pod["spec"]["automountServiceAccountToken"] for pod in pods("many-clusters").values())
    holds_kubeconfig = {component for component, pod in pods("many-clusters").items() if "MUSTER_KUBECONFIG" in environment(pod)}
    assert holds_kubeconfig == {"worker-collect", "worker-default"}
    assert not [item for item in OBJECTS["many-clusters"] if "rbac" in item["apiVersion"]], "it has no rights where it runs"


def test_rights_are_those_of_deploy_rbac() -> None:
    def rules(items: list[Object]) -> list[tuple[str, Any]]:
        return sorted(
            (item["metadata"].get("namespace", ""), rule)
            for item in items
            if item["kind"] in ("ClusterRole", "Role")
            for rule in map(json.dumps, item["rules"])
        )

    given = [item for path in (ROOT / "deploy" / "rbac").glob("*.yaml") for item in yaml.safe_load_all(path.read_text())]
    assert rules(OBJECTS["in-cluster"]) == rules(given)
    (account,) = of_kind("in-cluster", "ServiceAccount")
    for binding in (*of_kind("in-cluster", "ClusterRoleBinding"), *of_kind("in-cluster", "RoleBinding")):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "muster"}]


@pytest.mark.parametrize("name", NAMES)
def test_selectors_find_their_pods_and_probes_their_ports(name: str) -> None:
    for item in of_kind(name, "Deployment"):
        labels, (container,) = item["spec"]["template"]["metadata"]["labels"], item["spec"]["template"]["spec"]["containers"]
        assert item["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ports = {port["name"] for port in container.get("ports", [])}
        assert {container[probe]["httpGet"]["port"] for probe in container if "httpGet" in str(container[probe])} <= ports
    (service,) = of_kind(name, "Service")
    web = pods(name)["web"]
    assert service["spec"]["selector"].items() <= web["metadata"]["labels"].items()
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= {
        port["name"] for port in web["spec"]["containers"][0]["ports"]
    }


def test_tables_are_migrated_before_anything_of_the_new_version_starts() -> None:
    (job,) = of_kind("in-cluster", "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # What a hook needs must be there before the release is: a Secret and an account that exist, and no ConfigMap of the chart.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert not of_kind("in-cluster", "ConfigMap")


def test_an_autoscaler_decides_alone_how_many_web_processes_run() -> None:
    (web,) = (item for item in of_kind("many-clusters", "Deployment") if item["metadata"]["name"].endswith("-web"))
    assert "replicas" not in web["spec"]
    (scaler,) = of_kind("many-clusters", "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == web["metadata"]["name"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_valid_values(name: str) -> None:
    jsonschema.validate(example(name), SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("web", "replica"), 2),
        (("settings", "ALLOWED_HOST"), "x"),
        (("settings", "SECRET_KEY"), "a secret in a value"),
        (("database", "url"), "postgres://muster:password@host/muster"),
        (("image", "digest"), "latest"),
        (("workerCollect", "concurrency"), 0),
    ],
)
def test_the_schema_refuses_what_is_misspelt_or_secret(path: tuple[str, str], value: object) -> None:
    values = example("in-cluster")
    values.setdefault(path[0], {})[path[1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, SCHEMA)


def test_the_schema_knows_every_value_and_every_setting() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(defaults, SCHEMA)
    assert set(defaults) == set(SCHEMA["properties"]) - {"global"}
    assert set(SCHEMA["properties"]["settings"]["properties"]) == DOCUMENTED - set(env.SECRETS) - OWN - FIXED_BY_IMAGE
    assert set(SCHEMA["properties"]["secrets"]["properties"]["keys"]["properties"]) == set(env.SECRETS)


def test_the_chart_is_of_this_version() -> None:
    from fleet import __version__

    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)
