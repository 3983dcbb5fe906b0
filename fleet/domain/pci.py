"""PCI ids in labels of node feature discovery: which of them are GPUs."""

from __future__ import annotations

from functools import lru_cache

from fleet.domain import labels

PCI_NVIDIA, PCI_AMD, PCI_INTEL, PCI_HABANA = "10de", "1002", "8086", "1da3"
PCI_DISPLAY_CLASSES = frozenset({"0300", "0302", "0380"})
"""VGA controller, 3D controller, other display controller."""
PCI_ACCELERATOR_CLASS = "1200"
PCI_NVSWITCHES = frozenset({"1ac0", "1ac1", "1ac2", "1af1", "22a3", "22a4"})
"""Device ids of NVIDIA's that are NVSwitches (PCI ID database)."""
PCI_AMD_GPUS = frozenset(
    {"66a1", "738c", "738e", "7408", "740c", "740f", "74a0", "74a1", "74a2", "74a5", "74a9", "74b5", "74b9", "75a0", "75a3"}
)
"""Instinct MI50 to MI355X and their virtual functions (PCI ID database): other devices of this vendor are bridges and audio."""
PCI_INTEL_GPUS = frozenset({"0bd5", "0bd6", "0bd9", "0bda", "0bdb", "56c0", "56c1", "e211"})
"""Data Center GPU Max and Flex, Arc Pro B60 (intel-device-plugins-for-kubernetes)."""


@lru_cache(maxsize=4096)
def pci_gpu_vendor(label: str) -> str:
    """Returns the vendor of the GPU that an NFD PCI label shows; "" without one.

    NFD writes `pci-<vendor>`, `pci-<class>_<vendor>`, `pci-<vendor>_<device>` or longer forms, ending `.present`. NVIDIA and
    Habana vendor ids are accelerators even without a class (NVIDIA's network cards have Mellanox's 15b3); AMD and Intel ids are
    not (bridges, network cards), and Intel's VGA class is the CPU's own graphics more often than a GPU.
    """
    if not label.startswith(labels.NFD + "pci-") or not label.endswith(".present"):
        return ""
    fields = label[len(labels.NFD + "pci-") : -len(".present")].split("_")
    if len(fields) == 1:
        return {PCI_NVIDIA: "nvidia", PCI_HABANA: "habana"}.get(fields[0], "")
    if fields[0] in _PCI_GPUS:  # deviceLabelFields: [vendor, device]
        return _gpu_by_device_id(fields[0], fields[1])
    pci_class, vendor = fields[0], fields[1]
    if vendor == PCI_NVIDIA and pci_class in PCI_DISPLAY_CLASSES:
        return "nvidia"
    if vendor == PCI_AMD and (pci_class in PCI_DISPLAY_CLASSES or pci_class == PCI_ACCELERATOR_CLASS):
        return "amd"
    if vendor == PCI_INTEL and pci_class in ("0302", "0380"):
        return "intel"
    return "habana" if vendor == PCI_HABANA and pci_class.startswith("12") else ""


_PCI_GPUS = {PCI_NVIDIA: "nvidia", PCI_HABANA: "habana", PCI_AMD: "amd", PCI_INTEL: "intel"}


def _gpu_by_device_id(vendor: str, device: str) -> str:
    """Returns the vendor by device id.

    NVIDIA's and Habana's devices under classes that NFD labels are accelerators, except NVSwitches; AMD's and Intel's by id.
    """
    known = {PCI_AMD: PCI_AMD_GPUS, PCI_INTEL: PCI_INTEL_GPUS}.get(vendor)
    is_gpu = device in known if known is not None else bool(device) and device not in PCI_NVSWITCHES
    return _PCI_GPUS[vendor] if is_gpu else ""
