"""REMEMBERS. One file per noun; rows hold facts and judgements, never logic."""

from fleet.models.clusters import Cluster
from fleet.models.decisions import AuditEntry, ExpectedGpus, Maintenance, WaiverRow
from fleet.models.findings import FindingRow, Mute
from fleet.models.gpus import Gpu, MigInstance
from fleet.models.nodes import Node, NodeResource
from fleet.models.notices import Delivery, DeliveryItem, Notice, NotificationRule, NotificationTarget
from fleet.models.periods import GpuHour, NodeDay, RungPeriod, VerdictPeriod
from fleet.models.pods import Pod
from fleet.models.revisions import NodeRevision
from fleet.models.runs import CollectionRun, RunOutcome
from fleet.models.telemetry import DeviceTelemetry, Exporter, ModelServerRow, TelemetryFrame
from fleet.models.tokens import ApiToken
from fleet.models.users import Role, SavedView, SignInLink, User
from fleet.models.xids import XidBurstRow, XidOverride

__all__ = [
    "ApiToken",
    "AuditEntry",
    "Cluster",
    "CollectionRun",
    "Delivery",
    "DeliveryItem",
    "DeviceTelemetry",
    "ExpectedGpus",
    "Exporter",
    "FindingRow",
    "Gpu",
    "GpuHour",
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
    "Role",
    "RunOutcome",
    "RungPeriod",
    "SavedView",
    "SignInLink",
    "TelemetryFrame",
    "User",
    "VerdictPeriod",
    "WaiverRow",
    "XidBurstRow",
    "XidOverride",
]
