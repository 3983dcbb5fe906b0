from __future__ import annotations

import pytest

from fleet.domain.catalog import gpus
from fleet.domain.catalog.gpus import find, find_by_cloud_name, geometry_of, load, memory_agrees
from fleet.domain.devices.mig import parse_profile
from tests.builders import H100


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA H100 PCIe", "NVIDIA-H100-PCIe"),
        ("NVIDIA-H100-NVL", "NVIDIA-H100-NVL"),
        ("A100-SXM4-40GB", "NVIDIA-A100-SXM4-40GB"),
        ("NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-PCIE-40GB"),
        ("NVIDIA A100 80GB PCIe", "NVIDIA-A100-80GB-PCIe"),
        ("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB"),
        ("NVIDIA-A10", "NVIDIA-A10"),
        ("NVIDIA-A10G", "NVIDIA-A10G"),
        ("NVIDIA-L4", "NVIDIA-L4"),
        ("NVIDIA-L40S", "NVIDIA-L40S"),
        ("Tesla T4", "Tesla-T4"),
        ("NVIDIA-GH200-480GB", "NVIDIA-GH200-480GB"),
        ("NVIDIA-H200", "NVIDIA-H200"),
        ("NVIDIA-GB200", "NVIDIA-GB200"),
        ("NVIDIA B300 SXM6 AC", "NVIDIA-B300-SXM6-AC"),
        ("AMD_Instinct_MI300X_VF", "AMD_Instinct_MI300X"),
        ("AMD Instinct MI300X OAM", "AMD_Instinct_MI300X"),
    ],
)
def test_names_of_a_product(name: str, product: str) -> None:
    model = find(name)
    assert model is not None
    assert model.product == product


@pytest.mark.parametrize("name", ["", "NVIDIA", "NVIDIA-A1000", "NVIDIA-L40", "GeForce-RTX-3090", "NVIDIA-H100"])
def test_products_outside_the_catalogue(name: str) -> None:
    assert find(name) is None


def test_every_block_is_found_by_its_own_name_and_is_whole() -> None:
    catalog = load()
    for model in catalog.gpu:
        assert find(model.product) is model
        assert not model.geometry or model.geometry in catalog.geometry
        assert model.memory_mib or model.source, f"{model.product}: no memory, and no word on why"
    for geometry in catalog.geometry.values():
        for profile, most in geometry.profiles.items():
            parsed = parse_profile(profile)
            assert parsed is not None
            assert parsed.name == profile
            assert parsed.gpu_slices * most <= geometry.compute_slices


def test_cloud_names() -> None:
    assert find_by_cloud_name("nvidia-l4").product == "NVIDIA-L4"  # type: ignore[union-attr]
    assert find_by_cloud_name("h100").product == H100  # type: ignore[union-attr]
    assert find_by_cloud_name("a100") is None  # two sizes
    assert find_by_cloud_name("a100", 81920).product == "NVIDIA-A100-SXM4-80GB"  # type: ignore[union-attr]
    assert find_by_cloud_name("v100") is None


def test_memory_has_a_tolerance() -> None:
    model = find(H100)
    assert model is not None
    assert memory_agrees(model, 81559)
    assert memory_agrees(model, 80000)
    assert not memory_agrees(model, 40960)
    assert geometry_of(find("Tesla-T4")) is None


def test_entries_of_two_loads_are_the_same_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that load the catalogue at once each hold entries of their own."""
    first = gpus.find("NVIDIA-H100-80GB-HBM3")
    gpus.load.cache_clear()
    gpus.find.cache_clear()
    assert gpus.find("NVIDIA H100 80GB HBM3") is not first
    again = iter([first, gpus.find("NVIDIA H100 80GB HBM3")])
    monkeypatch.setattr(gpus, "find", lambda _: next(again))
    assert gpus.is_same_product("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("NVIDIA-A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", True),
        ("NVIDIA-RTX-2000-Ada-Generation", "RTX 2000 Ada Generation", True),
        ("NVIDIA-RTX-2000-Ada-Generation", "NVIDIA A30", False),
        ("NVIDIA-A30", "NVIDIA-A10", False),
        ("Unheard-Of", "Another", False),
    ],
)
def test_product_names_of_different_tools(first: str, second: str, *, same: bool) -> None:
    assert gpus.is_same_product(first, second) is gpus.is_same_product(second, first) is same
