"""Everything under /api/."""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.contrib.auth.decorators import login_required
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from fleet.api.access_requests import Requests
from fleet.api.audit import Audit
from fleet.api.clusters import Clusters
from fleet.api.compliance import ClassHistory, PoolHistory
from fleet.api.decisions import NodeExpected, NodeMaintenance, Waivers
from fleet.api.declarations import Apply, Export
from fleet.api.deliveries import Deliveries
from fleet.api.explain import Explain
from fleet.api.findings import Findings
from fleet.api.gpus import Gpus
from fleet.api.history import Availability, AvailabilityFacets, ChangeFacets, Changes
from fleet.api.incidents import Incidents
from fleet.api.kept_forecasts import KeptForecasts
from fleet.api.mig_instances import MigInstances
from fleet.api.node_lists import NodePods, NodeRevisions
from fleet.api.nodes import Nodes
from fleet.api.notification_rules import NotificationRules
from fleet.api.notification_targets import NotificationTargets
from fleet.api.pending import PendingFacets, PendingPods
from fleet.api.people import Sessions, Tokens, Users
from fleet.api.pools import Pools
from fleet.api.prices import Prices
from fleet.api.protocol.lists import ListViewSet
from fleet.api.protocol.problems import not_found
from fleet.api.runs import Runs
from fleet.api.search import Search
from fleet.api.sizing import Models, SizingView
from fleet.api.startup_times import StartupFacets, StartupTimes
from fleet.api.stranded import StrandedCapacity, StrandedHistory
from fleet.api.teams import Teams
from fleet.api.time_travel import NodesInTime, SummaryInTime
from fleet.api.topology import Topology, TopologyGroups
from fleet.api.watchers import Watchers
from fleet.api.what_if import WhatIfView
from fleet.api.workload_classes import Classes
from fleet.api.xid_bursts import XidBursts
from fleet.api.xids import Xids

# Its lookup is a path converter, not an expression: a cluster's name may contain slashes.
by_converter = SimpleRouter(use_regex_path=False)
by_converter.register("clusters", Clusters, basename="api-clusters")
router = SimpleRouter()
router.register("what-if/kept", KeptForecasts, basename="api-kept-forecasts")
router.register("prices", Prices, basename="api-prices")
router.register("nodes", Nodes, basename="api-nodes")
router.register("gpus", Gpus, basename="api-gpus")
router.register("mig-instances", MigInstances, basename="api-mig-instances")
router.register("findings", Findings, basename="api-findings")
router.register("incidents", Incidents, basename="api-incidents")
router.register("audit", Audit, basename="api-audit")
router.register("collection-runs", Runs, basename="api-runs")
router.register("pools", Pools, basename="api-pools")
router.register("workload-classes", Classes, basename="api-classes")
router.register("requests", Requests, basename="api-requests")
router.register("teams", Teams, basename="api-teams")
router.register("users", Users, basename="api-users")
router.register("tokens", Tokens, basename="api-tokens")
router.register("sessions", Sessions, basename="api-sessions")
router.register("xid-bursts", XidBursts, basename="api-xid-bursts")
router.register("xids", Xids, basename="api-xids")
router.register("notification-targets", NotificationTargets, basename="api-notification-targets")
router.register("notification-rules", NotificationRules, basename="api-notification-rules")
router.register("deliveries", Deliveries, basename="api-deliveries")


def listed(where: str, view: type[ListViewSet], name: str) -> list[URLPattern]:
    """A list within another resource, with its facets: routers support top-level lists only."""
    return [
        path(where, view.as_view({"get": "list"}), name=name),
        path(f"{where}facets/", view.as_view({"get": "facets"}, pagination_class=None), name=f"{name}-facets"),
    ]


v1: list[URLPattern | URLResolver] = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("fleet/summary/", SummaryInTime.as_view(), name="api-fleet-summary"),
    path("nodes/<cluster:cluster>/<str:name>/", NodesInTime.as_view({"get": "node"}), name="api-node"),
    path("nodes/<cluster:cluster>/<str:name>/history/", NodesInTime.as_view({"get": "history"}), name="api-node-history"),
    path("nodes/<cluster:cluster>/<str:name>/diff/", NodesInTime.as_view({"get": "diff"}), name="api-node-diff"),
    *listed("nodes/<cluster:cluster>/<str:name>/revisions/", NodeRevisions, "api-node-revisions"),
    *listed("nodes/<cluster:cluster>/<str:name>/pods/", NodePods, "api-node-pods"),
    path("explain/", Explain.as_view(), name="api-explain"),
    path("history/availability/", Availability.as_view(), name="api-availability"),
    path("history/availability/facets/", AvailabilityFacets.as_view(), name="api-availability-facets"),
    path("history/changes/", Changes.as_view(), name="api-changes"),
    path("history/changes/facets/", ChangeFacets.as_view(), name="api-changes-facets"),
    path("watchers/", Watchers.as_view(), name="api-watchers"),
    path("history/bootstrap/", StartupTimes.as_view(), name="api-bootstrap"),
    *listed("pools/<slug:slug>/history/", PoolHistory, "api-pool-history"),
    *listed("workload-classes/<slug:slug>/history/", ClassHistory, "api-class-history"),
    path("pools/apply/", Apply.as_view(), name="api-pools-apply"),
    path("history/bootstrap/facets/", StartupFacets.as_view(), name="api-bootstrap-facets"),
    path("pools/export/", Export.as_view(), name="api-pools-export"),
    path(
        "nodes/<cluster:cluster>/<str:name>/maintenance/",
        NodeMaintenance.as_view({"get": "show", "post": "begin", "delete": "end"}),
        name="api-node-maintenance",
    ),
    path(
        "nodes/<cluster:cluster>/<str:name>/expected-gpus/",
        NodeExpected.as_view({"get": "show", "post": "declare", "delete": "withdraw"}),
        name="api-node-expected",
    ),
    path("clusters/<cluster:cluster>/waivers/", Waivers.as_view({"get": "index", "post": "grant"}), name="api-cluster-waivers"),
    path("clusters/<cluster:cluster>/waivers/<str:rung>/", Waivers.as_view({"delete": "withdraw"}), name="api-cluster-waiver"),
    path("search/", Search.as_view(), name="api-search"),
    path("sizing/", SizingView.as_view(), name="api-sizing"),
    path("what-if/", WhatIfView.as_view(), name="api-what-if"),
    path("topology/", Topology.as_view(), name="api-topology"),
    path("topology/groups/", TopologyGroups.as_view(), name="api-topology-groups"),
    path("pending-pods/", PendingPods.as_view(), name="api-pending"),
    path("pending-pods/facets/", PendingFacets.as_view(), name="api-pending-facets"),
    path("capacity/stranded/history/", StrandedHistory.as_view(), name="api-stranded-history"),
    path("capacity/stranded/", StrandedCapacity.as_view(), name="api-stranded"),
    path("models/", Models.as_view(), name="api-models"),
    path("", include(by_converter.urls)),
    path("", include(router.urls)),
]
# The documentation's own script writes a style element: only this page allows it.
docs = csp_replace({"style-src": [SELF, UNSAFE_INLINE]})(
    login_required(SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="api/docs.html"))
)
urlpatterns = [
    path("v1/", include(v1)),
    # A page for people: it redirects to the sign-in, as any other page.
    path("docs/", docs, name="api-docs"),
    re_path(r"^.*$", not_found),
]
