"""One FilterSet per list: the page and the API filter by the same rules. One file per noun."""

from fleet.filters.audit import AuditFilters
from fleet.filters.clusters import ClusterFilters, RunFilters
from fleet.filters.fields import label_query
from fleet.filters.findings import FINDING_STATUSES, RESOLVED_WITHIN, FindingFilters, is_muted
from fleet.filters.gpus import GpuFilters, MigInstanceFilters
from fleet.filters.nodes import MomentFilters, NodeFilters
from fleet.filters.notifications import DeliveryFilters, NotificationRuleFilters, NotificationTargetFilters
from fleet.filters.pods import PodFilters
from fleet.filters.pools import ClassFilters, PoolFilters, PromisePeriodFilters
from fleet.filters.requests import RequestFilters, TeamFilters
from fleet.filters.revisions import RevisionFilters
from fleet.filters.xids import XidBurstFilters

__all__ = [
    "FINDING_STATUSES",
    "RESOLVED_WITHIN",
    "AuditFilters",
    "ClassFilters",
    "ClusterFilters",
    "DeliveryFilters",
    "FindingFilters",
    "GpuFilters",
    "MigInstanceFilters",
    "MomentFilters",
    "NodeFilters",
    "NotificationRuleFilters",
    "NotificationTargetFilters",
    "PodFilters",
    "PoolFilters",
    "PromisePeriodFilters",
    "RequestFilters",
    "RevisionFilters",
    "RunFilters",
    "TeamFilters",
    "XidBurstFilters",
    "is_muted",
    "label_query",
]
