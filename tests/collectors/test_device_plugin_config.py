"""Device-plugin ConfigMaps: every key parsed, the default chosen as the plugin chooses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.collectors.daemonsets import PluginSource
from fleet.collectors.device_plugin_config import Configs, choose_default, decode, fetch, parse, parse_one
from fleet.collectors.errors import Asked, Failure
from fleet.domain.snapshot import DevicePluginConfig
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body
from tests.collectors.scripted import Server, session

ASKED = Asked(verb="get", resource="configmaps")
SOURCE = PluginSource(namespace="gpu-operator", config_map="cm")
PATH = "/api/v1/namespaces/gpu-operator/configmaps/cm"


def parse_config(text: str) -> DevicePluginConfig:
    return parse_one("ns", "cm", "key", text)


def test_the_recorded_config_map() -> None:
    configs = {config.key: config for config in parse(SOURCE, decode(body("configmap_time_slicing"), ASKED))}
    assert set(configs) == {"l40s-mps", "tesla-t4", "tesla-t4-renamed"}
    mps, slicing, renamed = configs["l40s-mps"], configs["tesla-t4"], configs["tesla-t4-renamed"]
    assert (mps.sharing, mps.replicas, mps.fail_requests_greater_than_one) == ("mps", {"nvidia.com/gpu": 10}, None)
    assert (slicing.sharing, slicing.replicas, slicing.rename_by_default) == ("time-slicing", {"nvidia.com/gpu": 4}, False)
    assert slicing.fail_requests_greater_than_one is False
    assert (renamed.rename_by_default, renamed.fail_requests_greater_than_one) == (True, True)
    assert not any(config.error for config in configs.values())


def test_flags_and_several_resources() -> None:
    text = """
version: v1
flags: {migStrategy: mixed}
sharing:
  timeSlicing:
    resources: [{name: nvidia.com/gpu, replicas: 4}, {name: nvidia.com/mig-1g.5gb, replicas: 2}]
"""
    config = parse_config(text)
    assert config.mig_strategy == "mixed"
    assert config.replicas == {"nvidia.com/gpu": 4, "nvidia.com/mig-1g.5gb": 2}


@pytest.mark.parametrize(
    "text", ["", "version: v1", "version: v1\nsharing:", "sharing: {timeSlicing: {resources: []}}", "flags: null"]
)
def test_nothing_configured_is_no_error(text: str) -> None:
    config = parse_config(text)
    assert (config.sharing, config.replicas, config.error) == ("", {}, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML"),
        ("- a", "not a mapping"),
        ("sharing: 3", "not a mapping"),
        ("flags: [1]", "not a mapping"),
        ("sharing: {timeSlicing: {resources: [{name: a, replicas: 2}]}, mps: {resources: [{name: a, replicas: 2}]}}", "at once"),
        ("sharing: {mps: 3}", "not a mapping"),
        ("sharing: {mps: {resources: 3}}", "not a list"),
        ("sharing: {mps: {resources: [{replicas: 3}]}}", "no name"),
        ("sharing: {mps: {resources: [{name: nvidia.com/gpu}]}}", "positive whole number"),
        ("sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: many}]}}", "positive whole number"),
        ("sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: true}]}}", "positive whole number"),
        ("sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 0}]}}", "positive whole number"),
        ("!!python/object/apply:os.system [x]", "not YAML"),
        ("day: 2026-99-99", "not YAML"),
    ],
)
def test_what_is_wrong_stands_in_the_error(text: str, says: str) -> None:
    config = parse_config(text)
    assert says in config.error
    assert (config.sharing, config.replicas) == ("", {})


@given(st.text(max_size=200))
def test_no_text_ever_raises(text: str) -> None:
    parse_config(text)


@pytest.mark.parametrize(
    ("source", "keys", "default"),
    [
        ({"default": "a"}, "ab", "a"),
        ({"default": "gone"}, "ab", "gone"),
        ({}, ["default", "b"], "default"),
        ({}, ["only"], "only"),
        ({}, "ab", ""),
        ({}, "", ""),
        ({"fallbacks": ("empty",)}, ["only"], ""),
        ({"fallbacks": ()}, ["default"], ""),
        ({"fallbacks": ("single", "named")}, ["default", "b"], "default"),
        ({"fallbacks": ("named", "single", "empty")}, "ab", ""),
        ({"key": "file.yaml"}, ["file.yaml", "default"], "file.yaml"),
    ],
)
def test_the_default_is_chosen_as_the_plugin_does(source: dict[str, Any], keys: Any, default: str) -> None:
    made = PluginSource(namespace="ns", config_map="cm", **source)
    assert choose_default(made, dict.fromkeys(keys, "version: v1")) == default


def test_a_plugin_that_reads_one_key_has_one_configuration() -> None:
    source = PluginSource(namespace="ns", config_map="cm", key="b")
    assert [config.key for config in parse(source, {"a": "", "b": "", "c": ""})] == ["b"]


def read(*answers: Any) -> Configs:
    sources = [PluginSource(namespace="gpu-operator", config_map=f"cm{n}") for n in range(len(answers))]
    return fetch(session(Server({f"{PATH}{n}": answer for n, answer in enumerate(answers)})), sources)


def config_map(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "data": data}


def test_several_config_maps_and_the_first_default() -> None:
    configs = read(config_map(a="", b=""), config_map(only=""))
    assert [(c.config_map, c.key) for c in configs.configs.configs] == [("cm0", "a"), ("cm0", "b"), ("cm1", "only")]
    assert configs.configs.default_key == "only"
    assert configs.outcome is Outcome.COLLECTED


def test_a_config_map_that_does_not_exist_is_a_fact() -> None:
    configs = read(404)
    assert configs.outcome is Outcome.COLLECTED
    assert "does not exist" in configs.configs.configs[0].error


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (403, Outcome.FORBIDDEN),
        (b"<html>", Outcome.MALFORMED),
        ({"kind": "Status"}, Outcome.MALFORMED),
        ({"kind": "ConfigMap", "data": {"a": 1}}, Outcome.MALFORMED),
        (Failure(Outcome.TIMEOUT, "Slow."), Outcome.TIMEOUT),
    ],
)
def test_one_failing_config_map_does_not_hide_the_others(answer: Any, outcome: Outcome) -> None:
    configs = read(answer, config_map(a=""))
    assert configs.outcome is outcome
    assert configs.reason
    assert [c.key for c in configs.configs.configs] == ["a"]


def test_a_config_map_without_data() -> None:
    assert decode(b'{"kind":"ConfigMap","data":null}', ASKED) == {}


MERGES = "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{a: " * 20_000,
        f"a: &a {{x: 1}}\n{MERGES}",
        "a: &a [1]\nb: [" + "*a, " * 11 + "]",
        "[" + "1, " * 5_000 + "]",
    ],
    ids=["depth", "depth of mappings", "merges", "aliases", "values"],
)
def test_a_bomb_is_refused_before_it_is_loaded(text: str) -> None:
    """200,000 brackets ended the process, 500 characters of merges took minutes and gigabytes."""
    assert "nested too deeply, or has too many values or aliases" in parse_config(text).error


def test_an_alias_of_an_honest_configuration_is_followed() -> None:
    resources = "resources: &shared [{name: nvidia.com/gpu, replicas: 4}]"
    assert parse_config(f"x: {{{resources}}}\nsharing: {{timeSlicing: {{resources: *shared}}}}").replicas == {"nvidia.com/gpu": 4}
    assert parse_config("a: &a [x]\nflags: {migStrategy: [*a, *a]}").mig_strategy == ""
