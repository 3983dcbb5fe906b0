"""DaemonSets of the GPU stack: which part each is, how many pods are ready, which ConfigMaps a device plugin reads."""

from __future__ import annotations

import msgspec

from fleet.collectors.components import DEVICE_PLUGIN, component_of
from fleet.collectors.wire import ObjectMeta
from fleet.domain.snapshot import DaemonSetSnapshot


class _Env(msgspec.Struct, gc=False):
    name: str | None = None
    value: str | None = None


class _Mount(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    mount_path: str | None = None
    sub_path: str | None = None


class _Container(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[_Env] | None = None
    volume_mounts: list[_Mount] | None = None


class _KeyToPath(msgspec.Struct, gc=False):
    key: str | None = None
    path: str | None = None


class _ConfigMapVolume(msgspec.Struct, gc=False):
    name: str | None = None
    items: list[_KeyToPath] | None = None


class _Volume(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    config_map: _ConfigMapVolume | None = None


class _PodSpec(msgspec.Struct, rename="camel", gc=False):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None


class _Template(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _PodSpec | None = None


class _Spec(msgspec.Struct, gc=False):
    template: _Template | None = None


class _Status(msgspec.Struct, rename="camel", gc=False):
    desired_number_scheduled: int | None = None
    number_ready: int | None = None
    number_unavailable: int | None = None


class DaemonSetWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None
    status: _Status | None = None


class PluginSource(msgspec.Struct, frozen=True, kw_only=True):
    """A ConfigMap that configures a device plugin."""

    namespace: str
    config_map: str
    default: str = ""
    """The key that nodes without a label use, where it is named."""
    fallbacks: tuple[str, ...] | None = None
    """named, single, empty, in order; None where it is not set (then the chart's: named, single)."""
    key: str = ""
    """The one key the plugin reads, where no config-manager chooses by node label."""


_CONFIG_DIR = "CONFIG_FILE_SRCDIR"
_FALLBACKS = "FALLBACK_STRATEGIES"
_DEFAULT = "DEFAULT_CONFIG"
_CONFIG_FILE = "CONFIG_FILE"
_CONFIG_FLAG = "--config-file"


def parse(wire: DaemonSetWire) -> DaemonSetSnapshot | None:
    """The DaemonSet with its role; None where it is not part of the GPU stack."""
    meta, status = wire.metadata or ObjectMeta(), wire.status or _Status()
    if not meta.name:
        return None
    template = (wire.spec.template if wire.spec else None) or _Template()
    labels = {**(meta.labels or {}), **((template.metadata.labels if template.metadata else None) or {})}
    containers = (template.spec.containers if template.spec else None) or []
    component = component_of(labels, meta.name, [c.image or "" for c in containers])
    if not component:
        return None
    desired, ready = status.desired_number_scheduled or 0, status.number_ready or 0
    unavailable = status.number_unavailable
    return DaemonSetSnapshot(
        namespace=meta.namespace or "",
        name=meta.name,
        component=component,
        image=next((c.image for c in containers if c.image), ""),
        desired=desired,
        ready=ready,
        unavailable=unavailable or 0,
    )


def plugin_sources(wire: DaemonSetWire) -> tuple[PluginSource, ...]:
    """The ConfigMaps a device-plugin DaemonSet is configured by, from its volumes, environment and flags."""
    snapshot = parse(wire)
    if snapshot is None or snapshot.component != DEVICE_PLUGIN:
        return ()
    spec = (wire.spec.template.spec if wire.spec and wire.spec.template else None) or _PodSpec()
    volumes = {v.name: v.config_map for v in spec.volumes or () if v.name and v.config_map and v.config_map.name}
    sources: dict[str, PluginSource] = {}
    for container in (*(spec.init_containers or ()), *(spec.containers or ())):
        for source in _sources_of(container, volumes, snapshot.namespace):
            sources.setdefault(source.config_map, source)
    return tuple(sources.values())


def _sources_of(container: _Container, volumes: dict[str, _ConfigMapVolume], namespace: str) -> list[PluginSource]:
    env = {item.name: item.value or "" for item in container.env or () if item.name}
    sources = []
    if folder := env.get(_CONFIG_DIR, "").rstrip("/"):
        fallbacks = env.get(_FALLBACKS)
        sources += [
            PluginSource(
                namespace=namespace,
                config_map=volumes[mount.name].name or "",
                default=env.get(_DEFAULT, ""),
                fallbacks=None if fallbacks is None else tuple(f.strip() for f in fallbacks.split(",") if f.strip()),
            )
            for mount in container.volume_mounts or ()
            if mount.name in volumes and (mount.mount_path or "").rstrip("/") == folder
        ]
    elif path := _config_file(container, env):
        for mount in container.volume_mounts or ():
            base = (mount.mount_path or "").rstrip("/")
            if mount.name in volumes and base and (path == base or path.startswith(f"{base}/")):
                volume = volumes[mount.name]
                inside = mount.sub_path or path.removeprefix(base).lstrip("/")
                key = next((item.key for item in volume.items or () if item.path == inside and item.key), inside)
                sources.append(PluginSource(namespace=namespace, config_map=volume.name or "", key=key))
    return sources


def _config_file(container: _Container, env: dict[str, str]) -> str:
    """The path given by --config-file (two spellings) or CONFIG_FILE."""
    words: list[str] = [*(container.command or ()), *(container.args or ())]
    for position, word in enumerate(words):
        if word.startswith(f"{_CONFIG_FLAG}="):
            return word.partition("=")[2]
        if word == _CONFIG_FLAG and position + 1 < len(words):
            return words[position + 1]
    return env.get(_CONFIG_FILE, "")
