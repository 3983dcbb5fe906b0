"""Every URL of Muster. Pages and API are separate; health endpoints need no sign-in."""

from __future__ import annotations

from django.urls import include, path, register_converter

from fleet.config.converters import ClusterName

# Before both URL files are read: they use it.
register_converter(ClusterName, "cluster")

urlpatterns = [
    path("api/", include("fleet.api.urls")),
    path("", include("fleet.web.urls")),
]
handler400 = "fleet.web.shell.errors.bad_request"
handler403 = "fleet.web.shell.errors.forbidden"
handler404 = "fleet.web.shell.errors.not_found"
handler500 = "fleet.web.shell.errors.failed"
