"""The sections of a pass: their names, the order in which they are read, and what stays hidden without each."""

from __future__ import annotations

SECTIONS = (
    "version",
    "operator",
    "permissions",
    "resource_slices",
    "nodes",
    "pods",
    "device_plugin_config",
    "resource_claims",
    "telemetry",
    "model_servers",
    "events",
)
"""In the order they are read."""
TELEMETRY_SECTIONS = ("telemetry", "model_servers")
"""What a telemetry pass reads, from pods that are known already."""

HIDES = {
    "version": "Kubernetes' version",
    "operator": "the GPU Operator's state and whether the GPU stack's DaemonSets are ready",
    "permissions": "which rights Muster's account lacks or has too many of",
    "resource_slices": "devices published through DRA",
    "nodes": "new and vanished nodes, and every change of labels, taints and capacity",
    "pods": "requested and free slots, who holds them, and the state of the GPU stack's pods",
    "device_plugin_config": "which sharing the device plugin was told to use",
    "resource_claims": "which DRA devices are held, and by whom",
    "telemetry": "load, memory, temperature and health counters of the GPUs whose exporters were not read",
    "model_servers": "whether the model servers answer, and how much they serve",
    "events": "Xids and warnings that outside monitors tell in Events only",
}
