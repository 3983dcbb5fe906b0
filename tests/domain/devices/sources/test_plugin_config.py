from __future__ import annotations

from fleet.domain.devices.sources.plugin_config import choose
from fleet.domain.snapshot import DevicePluginConfigs
from tests.builders import make_plugin_config

KEY = "nvidia.com/device-plugin.config"


def test_not_read_is_not_the_same_as_none_there() -> None:
    assert choose({}, None).known is False
    silent = choose({}, DevicePluginConfigs())
    assert (silent.known, silent.config, silent.replicas("nvidia.com/gpu")) == (True, None, None)


def test_own_label_before_default() -> None:
    configs = (
        *make_plugin_config("a", sharing="time-slicing", replicas=2).configs,
        *make_plugin_config("b", sharing="mps", replicas=8).configs,
    )
    plugin = DevicePluginConfigs(configs=configs, default_key="a")
    assert choose({}, plugin).replicas("nvidia.com/gpu") == 2
    assert choose({KEY: ""}, plugin).replicas("nvidia.com/gpu") == 2
    assert choose({KEY: "b"}, plugin).replicas("nvidia.com/gpu") == 8
    assert choose({KEY: "c"}, plugin).problem == "missing_key"


def test_renamed_resources_go_by_their_plain_name_and_others_are_unshared() -> None:
    wanted = choose({}, make_plugin_config(sharing="time-slicing", replicas=4))
    assert wanted.replicas("nvidia.com/gpu.shared") == 4
    assert wanted.replicas("nvidia.com/mig-1g.5gb") == 1
    assert choose({}, make_plugin_config()).replicas("nvidia.com/gpu") == 1


def test_two_config_maps_with_one_key() -> None:
    first = make_plugin_config(sharing="time-slicing", replicas=2)
    same = make_plugin_config(sharing="time-slicing", replicas=2, namespace="elsewhere")
    other = make_plugin_config(sharing="time-slicing", replicas=4, namespace="elsewhere")
    agreed = DevicePluginConfigs(configs=first.configs + same.configs, default_key="default")
    differing = DevicePluginConfigs(configs=first.configs + other.configs, default_key="default")
    assert choose({}, agreed).replicas("nvidia.com/gpu") == 2
    assert (choose({}, differing).problem, choose({}, differing).replicas("nvidia.com/gpu")) == ("ambiguous", None)


def test_unreadable() -> None:
    wanted = choose({}, make_plugin_config(error="line 3: bad indentation"))
    assert (wanted.problem, wanted.config) == ("unreadable", None)
