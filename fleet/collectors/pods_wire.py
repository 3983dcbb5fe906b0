"""Pods as the Kubernetes API writes them: only the fields that Muster reads."""

from __future__ import annotations

import msgspec

from fleet.collectors.pod_scheduling import ContainerWire, SchedulingSpec
from fleet.collectors.wire import ConditionWire, ObjectMeta


class Variable(msgspec.Struct, gc=False):
    name: str | None = None
    value: str | None = None


class SecurityContext(msgspec.Struct, gc=False):
    privileged: bool | None = None


class Container(ContainerWire, rename="camel", gc=False):
    image: str | None = None
    env: list[Variable] | None = None
    security_context: SecurityContext | None = None


class ClaimUse(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    resource_claim_name: str | None = None


class Spec(SchedulingSpec, rename="camel", gc=False):
    node_name: str | None = None
    priority_class_name: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    resource_claims: list[ClaimUse] | None = None


class State(msgspec.Struct, rename="camel", gc=False):
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None


class States(msgspec.Struct, gc=False):
    waiting: State | None = None
    running: State | None = None
    terminated: State | None = None


class Device(msgspec.Struct, rename={"resource_id": "resourceID"}, gc=False):
    resource_id: str | None = None
    health: str | None = None


class Allocated(msgspec.Struct, gc=False):
    name: str | None = None
    resources: list[Device] | None = None


class ContainerStatus(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    ready: bool | None = None
    restart_count: int | None = None
    state: States | None = None
    allocated_resources_status: list[Allocated] | None = None


class Status(msgspec.Struct, rename="camel", gc=False):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    conditions: list[ConditionWire] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resource_claim_statuses: list[ClaimUse] | None = None
    extended_resource_claim_status: ClaimUse | None = None
    nominated_node_name: str | None = None


class PodWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: Spec | None = None
    status: Status | None = None
