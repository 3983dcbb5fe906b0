"""Everything under /api/."""

from __future__ import annotations

from typing import Any

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from fleet.api.clusters import Clusters
from fleet.api.deliveries import Deliveries
from fleet.api.fleet import FleetSummary
from fleet.api.gpus import Gpus
from fleet.api.mig_instances import MigInstances
from fleet.api.nodes import Nodes
from fleet.api.notification_rules import NotificationRules
from fleet.api.notification_targets import NotificationTargets
from fleet.api.problems import not_found
from fleet.api.runs import Runs

router = SimpleRouter()
router.register("clusters", Clusters, basename="api-clusters")
router.register("nodes", Nodes, basename="api-nodes")
router.register("gpus", Gpus, basename="api-gpus")
router.register("mig-instances", MigInstances, basename="api-mig-instances")
router.register("collection-runs", Runs, basename="api-runs")
router.register("notification-targets", NotificationTargets, basename="api-notification-targets")
router.register("notification-rules", NotificationRules, basename="api-notification-rules")
router.register("deliveries", Deliveries, basename="api-deliveries")

v1: list[Any] = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("fleet/summary/", FleetSummary.as_view(), name="api-fleet-summary"),
    path("nodes/<str:cluster>/<str:name>/", Nodes.as_view({"get": "one"}), name="api-node"),
    path("nodes/<str:cluster>/<str:name>/revisions/", Nodes.as_view({"get": "revisions"}), name="api-node-revisions"),
    path("nodes/<str:cluster>/<str:name>/pods/", Nodes.as_view({"get": "pods"}), name="api-node-pods"),
    path("", include(router.urls)),
]
# The documentation's own script writes a style element: this page, and no other, lets it.
docs = csp_replace({"style-src": [SELF, UNSAFE_INLINE]})(
    login_required(SpectacularSwaggerSplitView.as_view(url_name="api-schema"))
)
urlpatterns = [
    path("v1/", include(v1)),
    # A page for people: who is not signed in is sent to sign in, as from any other page.
    path("docs/", docs, name="api-docs"),
    re_path(r"^.*$", not_found),
]
