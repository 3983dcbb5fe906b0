"""The sections of a collection run: names, order, and what is unknown without each."""

from __future__ import annotations

SECTIONS = (
    "version",
    "operator",
    "permissions",
    "resource_slices",
    "device_classes",
    "device_taint_rules",
    "readiness_rules",
    "nodes",
    "pods",
    "device_plugin_config",
    "resource_claims",
    "scheduling",
    "queues",
    "telemetry",
    "model_servers",
    "events",
)
"""In the order they are read."""
TELEMETRY_SECTIONS = ("telemetry", "model_servers")
"""Sections of a telemetry run, scraped from pods that are already known."""

HIDES = {
    "version": "the Kubernetes version",
    "operator": "the GPU Operator's state and whether the GPU stack's DaemonSets are ready",
    "permissions": "which rights Muster's account lacks or has too many of",
    "resource_slices": "devices advertised through DRA",
    "device_classes": "which devices a DeviceClass selects, and its extended resource",
    "device_taint_rules": "devices that a DeviceTaintRule excludes from scheduling",
    "readiness_rules": "which NodeReadinessRule keeps a node out, and for which condition",
    "nodes": "new and removed nodes, and changes of labels, taints and capacity",
    "pods": "requested and free slots, who holds them, and the state of the GPU stack's pods",
    "device_plugin_config": "which sharing the device plugin is configured for",
    "resource_claims": "which DRA devices are allocated, and to which pods",
    "scheduling": "volumes, namespace labels, runtime and priority classes that decide where pods may land",
    "queues": "the place of workloads in Kueue, Volcano or KAI, and which quota is short",
    "telemetry": "load, memory, temperature and health counters of GPUs whose exporters were not scraped",
    "model_servers": "whether model servers answer, and their throughput",
    "events": "Xids and warnings that external monitors report only as Events",
}
