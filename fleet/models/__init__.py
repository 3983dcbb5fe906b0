"""REMEMBERS. One file per noun; rows have facts and results of evaluation, never logic."""

from fleet.models.access_requests import AccessRequest, AccessRequestState, AccessRequestStep, IdempotencyKey
from fleet.models.audit import AuditDay, AuditEntry, AuditLink, AuditStream
from fleet.models.clusters import Cluster, SameBy
from fleet.models.data_checks import DataCheck
from fleet.models.decisions import ExpectedGpus, Maintenance, WaiverRow
from fleet.models.findings import FindingRow, Silence
from fleet.models.gpus import Gpu, MigInstance
from fleet.models.nodes import Node, NodeResource
from fleet.models.notifications import Delivery, DeliveryItem, Notice, NotificationRule, NotificationTarget
from fleet.models.periods import FleetDay, GpuHour, NodeDay, RungPeriod, VerdictPeriod
from fleet.models.pods import Pod
from fleet.models.pools import ClassVersion, CompliancePeriod, Pool, PoolMembership, WorkloadClass
from fleet.models.prices import Price
from fleet.models.revisions import NodeRevision
from fleet.models.runs import CollectionRun, LossCause, RunOutcome
from fleet.models.scheduling import SchedulingRow
from fleet.models.stranded import StrandedDay
from fleet.models.teams import MembershipRequest, Team, TeamMember
from fleet.models.telemetry import DeviceTelemetry, Exporter, ModelServerRow, TelemetryFrame
from fleet.models.tokens import SCOPES, ApiToken, scopes_up_to
from fleet.models.users import Role, SavedView, SignInLink, User
from fleet.models.what_if import KeptForecast
from fleet.models.xids import XidBurstRow, XidOverride

__all__ = [
    "SCOPES",
    "AccessRequest",
    "AccessRequestState",
    "AccessRequestStep",
    "ApiToken",
    "AuditDay",
    "AuditEntry",
    "AuditLink",
    "AuditStream",
    "ClassVersion",
    "Cluster",
    "CollectionRun",
    "CompliancePeriod",
    "DataCheck",
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
    "KeptForecast",
    "LossCause",
    "Maintenance",
    "MembershipRequest",
    "MigInstance",
    "ModelServerRow",
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
    "Price",
    "Role",
    "RunOutcome",
    "RungPeriod",
    "SameBy",
    "SavedView",
    "SchedulingRow",
    "SignInLink",
    "Silence",
    "StrandedDay",
    "Team",
    "TeamMember",
    "TelemetryFrame",
    "User",
    "VerdictPeriod",
    "WaiverRow",
    "WorkloadClass",
    "XidBurstRow",
    "XidOverride",
    "scopes_up_to",
]
