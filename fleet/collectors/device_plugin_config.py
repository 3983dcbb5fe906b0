"""Device-plugin configuration: the ConfigMaps that say how GPUs are partitioned and shared, and the default choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from fleet.collectors.addresses import name_in_path
from fleet.collectors.daemonsets import PluginSource
from fleet.collectors.errors import NOT_JSON, Asked, Failure, shorten
from fleet.collectors.session import Session
from fleet.domain.snapshot import DevicePluginConfig, DevicePluginConfigs
from fleet.domain.snapshot.sections import Outcome

# What the plugin's chart tries where no default is named: the key called `default`, then the only key there is.
_CHART_FALLBACKS = ("named", "single")
_NAMED = "default"
_SHARINGS = (("timeSlicing", "time-slicing"), ("mps", "mps"))
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST, _MOST_ALIASES, _MOST_EVENTS = 40, 10, 5_000
"""Of one configuration. The plugin's own has four levels; ten aliases unfold into some forty times their text."""


class _ConfigMap(msgspec.Struct, gc=False):
    kind: str | None = None
    data: dict[str, str] | None = None


class Configs(msgspec.Struct):
    """The configurations and the outcome of reading them. A ConfigMap that fails does not hide the others."""

    configs: DevicePluginConfigs
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""


def fetch(session: Session, sources: Sequence[PluginSource]) -> Configs:
    """Read every ConfigMap named. One that does not exist is a fact, kept as a configuration with an error."""
    configs: list[DevicePluginConfig] = []
    default_key = ""
    read = Configs(DevicePluginConfigs())
    for source in sources:
        asked = Asked(verb="get", resource="configmaps", namespace=source.namespace, name=source.config_map, optional=True)
        try:
            namespace, name = name_in_path(source.namespace), name_in_path(source.config_map)
            body = session.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}", asked).body
            data = decode(body, asked)
        except Failure as failure:
            if failure.outcome is Outcome.ABSENT:
                configs.append(_missing(source))
                continue
            read.outcome, read.reason = failure.outcome, failure.reason
            continue
        configs.extend(parse(source, data))
        default_key = default_key or choose_default(source, data)
    read.configs = DevicePluginConfigs(configs=tuple(configs), default_key=default_key)
    return read


def _missing(source: PluginSource) -> DevicePluginConfig:
    return DevicePluginConfig(
        namespace=source.namespace,
        config_map=source.config_map,
        key="",
        error=f"The ConfigMap {source.namespace}/{source.config_map} is named, but does not exist.",
    )


def decode(body: bytes | bytearray, asked: Asked) -> dict[str, str]:
    """The data of a ConfigMap. Raises Failure (malformed) where it is none."""
    try:
        wire = msgspec.json.decode(body, type=_ConfigMap)
    except NOT_JSON as error:
        reason = f"The answer to the request to {asked.words} is malformed: {shorten(str(error), 160)}."
        raise Failure(Outcome.MALFORMED, reason) from None
    if wire.kind != "ConfigMap":
        raise Failure(Outcome.MALFORMED, f"The answer to the request to {asked.words} is no ConfigMap.")
    return wire.data or {}


def choose_default(source: PluginSource, data: Mapping[str, str]) -> str:
    """The key for nodes without a label: the named default, else what the fallbacks give; "" for none.

    Source: k8s-device-plugin, config-manager and chart (fallbackStrategies).
    """
    if source.key or source.default:
        return source.key or source.default
    for fallback in _CHART_FALLBACKS if source.fallbacks is None else source.fallbacks:
        if fallback == "named" and _NAMED in data:
            return _NAMED
        if fallback == "single" and len(data) == 1:
            return next(iter(data))
        if fallback == "empty":
            return ""
    return ""


def parse(source: PluginSource, data: Mapping[str, str]) -> tuple[DevicePluginConfig, ...]:
    """Every key as one configuration; only the one key where the plugin reads no other."""
    keys = [source.key] if source.key in data else sorted(data)
    return tuple(parse_one(source.namespace, source.config_map, key, data[key]) for key in keys)


def parse_one(namespace: str, config_map: str, key: str, text: str) -> DevicePluginConfig:
    """One key's YAML. Never raises: `error` has its problem."""

    def wrong(what: str) -> DevicePluginConfig:
        return DevicePluginConfig(namespace=namespace, config_map=config_map, key=key, error=what)

    try:
        _refuse_bombs(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, the C one where there is one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return wrong(f"It is not YAML: {shorten(str(error), 160)}")
    content = {} if content is None else content
    if not isinstance(content, dict):
        return wrong("Its top level is not a mapping.")
    flags, sharing = content.get("flags") or {}, content.get("sharing") or {}
    if not isinstance(flags, dict) or not isinstance(sharing, dict):
        return wrong("`flags` or `sharing` is not a mapping.")
    chosen = [(name, sharing[field]) for field, name in _SHARINGS if sharing.get(field)]
    if len(chosen) > 1:
        return wrong("It configures time-slicing and MPS at once; the plugin accepts one of them.")
    name, settings = chosen[0] if chosen else ("", {})
    if not isinstance(settings, dict):
        return wrong(f"The settings of {name} are not a mapping.")
    replicas = _replicas(settings.get("resources"))
    if isinstance(replicas, str):
        return wrong(replicas)
    fails = settings.get("failRequestsGreaterThanOne")
    return DevicePluginConfig(
        namespace=namespace,
        config_map=config_map,
        key=key,
        mig_strategy=strategy if isinstance(strategy := flags.get("migStrategy"), str) else "",
        sharing=name if replicas else "",
        rename_by_default=settings.get("renameByDefault") is True,
        fail_requests_greater_than_one=fails if isinstance(fails, bool) else None,
        replicas=replicas,
    )


def _refuse_bombs(text: str) -> None:
    """Raises ValueError for YAML that unfolds into gigabytes (aliases, merges of them), or ends the process by its depth."""
    depth = aliases = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        if depth > _DEEPEST or aliases > _MOST_ALIASES or count > _MOST_EVENTS:
            raise ValueError("it is nested too deeply, or has too many values or aliases")


def _replicas(resources: Any) -> dict[str, int] | str:
    """Resource to replicas per device, or what is wrong."""
    if resources is None:
        return {}
    if not isinstance(resources, list):
        return "`resources` is not a list."
    replicas: dict[str, int] = {}
    for entry in resources:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            return "An entry of `resources` has no name."
        number = entry.get("replicas")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            return f"The replicas of {shorten(entry['name'], 80)} are not a positive whole number."
        replicas[entry["name"]] = number
    return replicas
