"""One URL per page; htmx asks the same one for its part."""

from __future__ import annotations

from django.urls import path

from fleet.web import accounts, clusters, fleet, health, history, nodes, patterns, views

urlpatterns = [
    path("", fleet.fleet, name="fleet"),
    path("nodes/", nodes.node_list, name="nodes"),
    path("nodes/<str:cluster>/<str:name>/", nodes.node_detail, name="node"),
    path("history/", history.history, name="history"),
    path("clusters/", clusters.cluster_list, name="clusters"),
    path("clusters/<str:name>/", clusters.cluster_detail, name="cluster"),
    path("clusters/<str:name>/collect/", clusters.collect_now, name="cluster-collect"),
    path("saved-views/", views.save_view, name="saved-views"),
    path("saved-views/<int:pk>/delete/", views.delete_view, name="saved-view-delete"),
    path("patterns/", patterns.patterns, name="patterns"),
    path("sign-in/", accounts.SignIn.as_view(), name="sign-in"),
    path("sign-in/<str:secret>/", accounts.sign_in_by_link, name="sign-in-link"),
    path("sign-out/", accounts.sign_out, name="sign-out"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]
