"""One FilterSet per list: the page and the API filter by the same rules. One file per noun."""

from fleet.filters.access_requests import RequestFilters, TeamFilters
from fleet.filters.audit import AuditFilters
from fleet.filters.clusters import ClusterFilters, RunFilters
from fleet.filters.fields import label_query
from fleet.filters.findings import FINDING_STATUSES, RESOLVED_WITHIN, FindingFilters, is_silenced
from fleet.filters.gpus import GpuFilters, MigInstanceFilters
from fleet.filters.incidents import IncidentFilters, open_member
from fleet.filters.nodes import MomentFilters, NodeFilters
from fleet.filters.notifications import DeliveryFilters, NotificationRuleFilters, NotificationTargetFilters
from fleet.filters.people import SessionFilters, TokenFilters, UserFilters
from fleet.filters.pods import PodFilters
from fleet.filters.pools import ClassFilters, CompliancePeriodFilters, PoolFilters
from fleet.filters.prices import PriceFilters
from fleet.filters.revisions import RevisionFilters
from fleet.filters.xids import XidBurstFilters

__all__ = [
    "FINDING_STATUSES",
    "RESOLVED_WITHIN",
    "AuditFilters",
    "ClassFilters",
    "ClusterFilters",
    "CompliancePeriodFilters",
    "DeliveryFilters",
    "FindingFilters",
    "GpuFilters",
    "IncidentFilters",
    "MigInstanceFilters",
    "MomentFilters",
    "NodeFilters",
    "NotificationRuleFilters",
    "NotificationTargetFilters",
    "PodFilters",
    "PoolFilters",
    "PriceFilters",
    "RequestFilters",
    "RevisionFilters",
    "RunFilters",
    "SessionFilters",
    "TeamFilters",
    "TokenFilters",
    "UserFilters",
    "XidBurstFilters",
    "is_silenced",
    "label_query",
    "open_member",
]
