"""REMEMBERS. One file per noun; rows hold facts and judgements, never logic."""

from fleet.models.clusters import Cluster
from fleet.models.decisions import AuditEntry, ExpectedGpus, Maintenance, WaiverRow
from fleet.models.findings import FindingRow, Mute
from fleet.models.gpus import Gpu, MigInstance
from fleet.models.nodes import Node, NodeResource
from fleet.models.notices import Delivery, DeliveryItem, Notice, NotificationRule, NotificationTarget
from fleet.models.periods import FleetDay, GpuHour, NodeDay, RungPeriod, VerdictPeriod
from fleet.models.pods import Pod
from fleet.models.pools import ClassVersion, Pool, PoolMembership, PromisePeriod, WorkloadClass
from fleet.models.requests import ClassRequest, IdempotencyKey, RequestState, RequestStep
from fleet.models.revisions import NodeRevision
from fleet.models.runs import CollectionRun, RunOutcome
from fleet.models.teams import Team, TeamMember
from fleet.models.telemetry import DeviceTelemetry, Exporter, ModelServerRow, TelemetryFrame
from fleet.models.tokens import ApiToken
from fleet.models.users import Role, SavedView, SignInLink, User
from fleet.models.xids import XidBurstRow, XidOverride

__all__ = [
    "ApiToken",
    "AuditEntry",
    "ClassRequest",
    "ClassVersion",
    "Cluster",
    "CollectionRun",
    "Delivery",
    "DeliveryItem",
    "DeviceTelemetry",
    "ExpectedGpus",
    "Exporter",
    "FindingRow",
    "FleetDay",
    "Gpu",
    "GpuHour",
    "IdempotencyKey",
    "Maintenance",
    "MigInstance",
    "ModelServerRow",
    "Mute",
    "Node",
    "NodeDay",
    "NodeResource",
    "NodeRevision",
    "Notice",
    "NotificationRule",
    "NotificationTarget",
    "Pod",
    "Pool",
    "PoolMembership",
    "PromisePeriod",
    "RequestState",
    "RequestStep",
    "Role",
    "RunOutcome",
    "RungPeriod",
    "SavedView",
    "SignInLink",
    "Team",
    "TeamMember",
    "TelemetryFrame",
    "User",
    "VerdictPeriod",
    "WaiverRow",
    "WorkloadClass",
    "XidBurstRow",
    "XidOverride",
]
