from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.devices.sources.gfd import label_form, read, split_product
from tests.builders import H100, make_node


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        (H100, (H100, "", False, False)),
        ("Tesla-T4-SHARED", ("Tesla-T4", "", False, True)),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", ("NVIDIA-A100-SXM4-40GB", "1g.5gb", False, False)),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb-SHARED", ("NVIDIA-A100-SXM4-40GB", "1g.5gb", False, True)),
        ("NVIDIA-A100-SXM4-40GB-MIG-INVALID", ("NVIDIA-A100-SXM4-40GB", "", True, False)),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me", ("NVIDIA-A100-SXM4-40GB", "1g.5gb+me", False, False)),
        ("NVIDIA-X-MIG-Y", ("NVIDIA-X-MIG-Y", "", False, False)),
        ("", ("", "", False, False)),
    ],
)
def test_suffixes_of_the_product(label: str, parts: tuple[str, str, bool, bool]) -> None:
    assert split_product(label) == parts


def test_one_product_has_one_name() -> None:
    assert label_form("NVIDIA H100 80GB HBM3") == H100
    assert label_form("  NVIDIA  A100 (80GB)+ PCIe ") == "NVIDIA-A100-80GB-PCIe"


def test_versions_by_current_and_deprecated_labels() -> None:
    full = read({"nvidia.com/cuda.driver-version.full": "550.163.01", "nvidia.com/cuda.runtime-version.full": "12.4"})
    assert (full.driver_version, full.cuda_version) == ("550.163.01", "12.4")
    parts = read(
        {
            "nvidia.com/cuda.driver-version.major": "550",
            "nvidia.com/cuda.driver-version.minor": "163",
            "nvidia.com/cuda.driver-version.revision": "",
            "nvidia.com/cuda.runtime.major": "11",
            "nvidia.com/cuda.runtime.minor": "7",
        }
    )
    assert (parts.driver_version, parts.cuda_version) == ("550.163", "11.7")
    old = read({"nvidia.com/cuda.driver.major": "515", "nvidia.com/cuda.driver.minor": "86", "nvidia.com/cuda.driver.rev": "01"})
    assert old.driver_version == "515.86.01"


def test_mixed_labels_by_profile() -> None:
    node = make_node(mig={"1g.10gb": 7, "1g.10gb.me": 1})
    gfd = read(node.labels)
    assert {profile: rows.count for profile, rows in gfd.mig.items()} == {"1g.10gb": 7, "1g.10gb+me": 1}
    assert gfd.mig["1g.10gb"].memory_mib == 9984


def test_numbers_that_are_none_are_named() -> None:
    gfd = read({"nvidia.com/gpu.count": "eight", "nvidia.com/gpu.memory": "", "nvidia.com/gpu.replicas": "99999999999"})
    assert (gfd.count, gfd.memory_mib, gfd.replicas) == (None, None, None)
    assert set(gfd.unreadable) == {"nvidia.com/gpu.count", "nvidia.com/gpu.memory", "nvidia.com/gpu.replicas"}


def test_nothing_of_gfd() -> None:
    gfd = read({"nvidia.com/gpu.present": "true", "nvidia.com/mig.config": "all-disabled"})
    assert not gfd.is_present
    assert gfd.strategy is None


@pytest.mark.slow
@given(
    st.dictionaries(
        st.one_of(
            st.text(),
            st.sampled_from(
                ["nvidia.com/gpu.product", "nvidia.com/gpu.count", "nvidia.com/mig-1g.5gb.count", "nvidia.com/mig-.count"]
            ),
            st.builds("nvidia.com/mig-{}".format, st.text()),
        ),
        st.text(),
    )
)
def test_never_raises(labels: dict[str, str]) -> None:
    read(labels)
