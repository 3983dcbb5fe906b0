"""One URL per page; htmx asks the same one for its part."""

from __future__ import annotations

from django.urls import path

from fleet.web import (
    accounts,
    clusters,
    fleet,
    health,
    nodes,
    notification_rules,
    notification_targets,
    notifications,
    patterns,
    views,
)

urlpatterns = [
    path("", fleet.fleet, name="fleet"),
    path("nodes/", nodes.node_list, name="nodes"),
    path("nodes/<str:cluster>/<str:name>/", nodes.node_detail, name="node"),
    path("clusters/", clusters.cluster_list, name="clusters"),
    path("clusters/<str:name>/", clusters.cluster_detail, name="cluster"),
    path("clusters/<str:name>/collect/", clusters.collect_now, name="cluster-collect"),
    path("notifications/", notifications.overview, name="notifications"),
    path("notifications/deliveries/", notifications.delivery_list, name="deliveries"),
    path("notifications/deliveries/<int:pk>/", notifications.delivery_detail, name="delivery"),
    path("notifications/targets/new/", notification_targets.add, name="notification-target-add"),
    path("notifications/targets/<int:pk>/", notification_targets.change, name="notification-target"),
    path("notifications/targets/<int:pk>/delete/", notification_targets.delete, name="notification-target-delete"),
    path("notifications/targets/<int:pk>/test/", notification_targets.test, name="notification-target-test"),
    path("notifications/rules/new/", notification_rules.add, name="notification-rule-add"),
    path("notifications/rules/<int:pk>/", notification_rules.change, name="notification-rule"),
    path("notifications/rules/<int:pk>/delete/", notification_rules.delete, name="notification-rule-delete"),
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
