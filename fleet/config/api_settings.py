"""Settings of the API: Django REST framework, its tokens (knox) and its schema (drf-spectacular)."""

from __future__ import annotations

from datetime import timedelta

from fleet.config import env

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fleet.api.protocol.authentication.TokenAuthentication",
        "fleet.api.protocol.authentication.PageSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["fleet.api.protocol.permissions.ByRole"],
    "DEFAULT_PAGINATION_CLASS": "fleet.api.protocol.pagination.CursorPages",
    "DEFAULT_RENDERER_CLASSES": ["fleet.api.protocol.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fleet.api.protocol.renderers.Formats",
    "DEFAULT_PARSER_CLASSES": ["fleet.api.protocol.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["fleet.api.protocol.filtering.FilterSets", "fleet.api.protocol.filtering.Ordering"],
    "DEFAULT_SCHEMA_CLASS": "fleet.api.protocol.schema.Schema",
    "DEFAULT_THROTTLE_CLASSES": ["fleet.api.protocol.permissions.PerUser"],
    "DEFAULT_THROTTLE_RATES": {"user": env.rate("MUSTER_API_RATE", "6000/min")},
    "EXCEPTION_HANDLER": "fleet.api.protocol.problems.problem_details",
    "URL_FORMAT_OVERRIDE": "format",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
REST_KNOX = {
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_MODEL": "fleet.ApiToken",
    "TOKEN_PREFIX": "muster_",
    "TOKEN_TTL": timedelta(days=365),
    "AUTO_REFRESH": False,
}
KNOX_TOKEN_MODEL = "fleet.ApiToken"  # noqa: S105 a model's name
SPECTACULAR_SETTINGS = {
    "TITLE": "Muster",
    "DESCRIPTION": "The state of every GPU node of every Kubernetes cluster.",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["fleet.api.protocol.permissions.ByRole"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PATH_CONVERTER_OVERRIDES": {
        "cluster": {"type": "string", "description": "The cluster's name, `~` in it written as `~0` and `/` as `~1`."},
    },
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["fleet.api.protocol.schema.add_problem"],
}
