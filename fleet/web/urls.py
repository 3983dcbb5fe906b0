"""One URL per page; htmx asks the same one for its part."""

from __future__ import annotations

from django.urls import path

from fleet.web import accounts, audit, clusters, decisions, findings, fleet, health, history, nodes, patterns, views, xids

urlpatterns = [
    path("", fleet.fleet, name="fleet"),
    path("nodes/", nodes.node_list, name="nodes"),
    path("nodes/<str:cluster>/<str:name>/", nodes.node_detail, name="node"),
    path("findings/", findings.finding_list, name="findings"),
    path("findings/<int:pk>/mute/", findings.mute_finding, name="finding-mute"),
    path("mutes/<int:pk>/end/", findings.unmute, name="mute-end"),
    path("audit/", audit.audit_list, name="audit"),
    path("history/", history.history, name="history"),
    path("clusters/", clusters.cluster_list, name="clusters"),
    path("clusters/<str:name>/", clusters.cluster_detail, name="cluster"),
    path("clusters/<str:name>/collect/", clusters.collect_now, name="cluster-collect"),
    path("xids/", xids.xid_list, name="xids"),
    path("xids/<int:code>/", xids.xid_detail, name="xid"),
    path("xids/<int:code>/override/", xids.override, name="xid-override"),
    path("xids/<int:code>/withdraw/", xids.withdraw, name="xid-withdraw"),
    path("nodes/<str:cluster>/<str:name>/maintenance/", decisions.begin_maintenance, name="node-maintenance-begin"),
    path("nodes/<str:cluster>/<str:name>/maintenance/end/", decisions.end_maintenance, name="node-maintenance-end"),
    path("nodes/<str:cluster>/<str:name>/expected-gpus/", decisions.declare_expected, name="node-expected-declare"),
    path("nodes/<str:cluster>/<str:name>/expected-gpus/learn/", decisions.withdraw_expected, name="node-expected-withdraw"),
    path("clusters/<str:name>/waivers/", decisions.waive, name="waiver-grant"),
    path("clusters/<str:name>/waivers/<str:rung>/withdraw/", decisions.withdraw_waiver, name="waiver-withdraw"),
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
