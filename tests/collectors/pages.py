"""Pages in exporters' own format, made up, for tests and measurements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.domain.catalog.metrics import load


def gpu_labels(index: int = 0, *, host: str = "Hostname", node: str = "node-a", **more: str) -> dict[str, str]:
    """The labels of one GPU's series, in the exporter's order."""
    return {
        "gpu": str(index),
        "UUID": f"GPU-{index:08x}-1111-2222-3333-444455556666",
        "pci_bus_id": f"00000000:{0x18 + index:02X}:00.0",
        "device": f"nvidia{index}",
        "modelName": "NVIDIA H100 80GB HBM3",
        host: node,
        "DCGM_FI_DRIVER_VERSION": "570.124.06",
        **more,
    }


def line(name: str, labels: Mapping[str, str], value: object) -> str:
    """One line of text format 0.0.4."""
    inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def page(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def whole_page(gpus: int = 8, metrics: Iterable[str] | None = None, **labels: str) -> str:
    """What an exporter with every counter of the catalogue switched on gives for `gpus` cards."""
    names = list(metrics) if metrics is not None else [metric.wires[0] for metric in load().metric]
    lines = []
    for position, name in enumerate(names):
        lines += [f"# HELP {name} Some words, with {{braces}} and a \\n.", f"# TYPE {name} gauge"]
        lines += [line(name, gpu_labels(gpu, **labels), f"{position * 8 + gpu}.250000") for gpu in range(gpus)]
    return page(*lines)
