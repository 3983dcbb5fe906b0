"""Reasons of the scheduler's filters, in its words."""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why a filter refuses a node. `id` is Muster's group of reasons, `text` the scheduler's own words."""

    id: str
    text: str
    resource: str = ""


UNSCHEDULABLE = Refusal("unschedulable", "node(s) were unschedulable")
TAINT = Refusal("taint", "node(s) had untolerated taint(s)")
AFFINITY = Refusal("selector", "node(s) didn't match Pod's node affinity/selector")
NOT_NAMED = Refusal("selector", "node(s) didn't satisfy plugin(s) [NodeAffinity]")
PORTS = Refusal("host_port", "node(s) didn't have free ports for the requested pod ports")
TOO_MANY_PODS = Refusal("resources", "Too many pods", "pods")
CLAIM_IN_USE = Refusal(
    "volume",
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
)
VOLUME_LIMIT = Refusal("volume", "node(s) exceed max volume count")
VOLUME_AFFINITY = Refusal("volume", "node(s) didn't match PersistentVolume's node affinity")
VOLUME_GONE = Refusal("volume", "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
NO_VOLUME = Refusal("volume", "node(s) didn't find available persistent volumes to bind")
UNBOUND_CLAIM = Refusal("volume", "pod has unbound immediate PersistentVolumeClaims")
VOLUME_ZONE = Refusal("volume", "node(s) had no available volume zone")
SPREAD = Refusal("topology_spread", "node(s) didn't match pod topology spread constraints")
SPREAD_LABEL = Refusal("topology_spread", "node(s) didn't match pod topology spread constraints (missing required label)")
POD_AFFINITY = Refusal("pod_affinity", "node(s) didn't match pod affinity rules")
POD_ANTI_AFFINITY = Refusal("pod_affinity", "node(s) didn't match pod anti-affinity rules")
EXISTING_ANTI_AFFINITY = Refusal("pod_affinity", "node(s) didn't satisfy existing pods anti-affinity rules")


def insufficient(resource: str) -> Refusal:
    return Refusal("resources", f"Insufficient {resource}", resource)
