from __future__ import annotations

import pytest

from fleet.collectors.addresses import name_in_path
from fleet.collectors.errors import Failure


@pytest.mark.parametrize("name", ["a", "nvidia-dcgm-exporter-x7k2p", "web.example-1", "a" * 253])
def test_a_name_that_kubernetes_takes_stands_in_a_path_as_it_is(name: str) -> None:
    assert name_in_path(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "..", ".", "../../../secrets/x", "a/b", "a%2fb", "a b", "A", "a_b", "-a", "a-", "a..b", "a?b", "a#b", "a\n", "a\0",
        "\u00fc", "a:80", "a" * 254,
    ],
)  # fmt: skip
def test_a_name_that_kubernetes_would_refuse_is_never_sent(name: str) -> None:
    with pytest.raises(Failure, match="is not a valid Kubernetes name"):
        name_in_path(name)
