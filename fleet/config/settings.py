"""Every setting of Muster, driven by the environment (see .env.example). One file for development, tests and production."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from fleet import __version__
from fleet.config import env
from fleet.embedded import paths

BASE_DIR = Path(__file__).resolve().parents[2]
VERSION = __version__
MUSTER_HOME = Path(env.text("MUSTER_HOME", str(BASE_DIR / "var"))).expanduser().resolve()
PORT = env.integer("PORT", 8000, at_least=1, at_most=65535)

# --- who may talk to us -------------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", default=False)
# A key made up here holds for this process only: `manage.py run` and the image's entry point hand every process the same one.
SECRET_KEY = env.text("SECRET_KEY") or secrets.token_urlsafe(50)
SECRET_KEY_IS_GIVEN = bool(env.text("SECRET_KEY"))
# Earlier keys: what they signed and encrypted is still understood.
SECRET_KEY_FALLBACKS = list(env.words("SECRET_KEY_FALLBACKS"))
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]")))
CSRF_TRUSTED_ORIGINS = list(env.words("CSRF_TRUSTED_ORIGINS"))
BEHIND_TLS = env.boolean("BEHIND_TLS", default=False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "muster_session", "muster_csrf"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        # Plotly adds one empty <style> element (the hash is that of the empty string) and sets style attributes.
        "style-src": [SELF, "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Django -------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "lucide",
    "csp",
    "fleet",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fleet.web.refusals.refuse_nul",
]
# Our own token model stands in for knox's: without this its table would be made all the same, and never used.
MIGRATION_MODULES = {"knox": None}
ROOT_URLCONF = "fleet.config.urls"
WSGI_APPLICATION = "fleet.config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fleet.web.chrome.chrome",
            ],
        },
    },
]
AUTH_USER_MODEL = "fleet.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "fleet"
LOGOUT_REDIRECT_URL = "sign-in"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- Postgres -----------------------------------------------------------------------------------------------------

_LIKE = "postgres://user:password@host:5432/database"
DATABASE_URL = env.url("DATABASE_URL", paths.database_url(MUSTER_HOME), ("postgres", "postgresql"), like=_LIKE, host=False)
try:
    DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
except (ValueError, environ.ImproperlyConfigured) as error:
    raise ImproperlyConfigured(f"DATABASE_URL cannot be read: write it as {_LIKE}.") from error
if not DATABASES["default"]["NAME"] and "service" not in DATABASES["default"].get("OPTIONS", {}):
    raise ImproperlyConfigured(f"DATABASE_URL names no database: write it as {_LIKE}.")
DATABASES["default"].update(
    CONN_MAX_AGE=300,
    CONN_HEALTH_CHECKS=True,
    # Advisory locks need a connection of their own: point DATABASE_URL past PgBouncer's transaction pooling.
    DISABLE_SERVER_SIDE_CURSORS=True,
    OPTIONS={
        **DATABASES["default"].get("OPTIONS", {}),
        "connect_timeout": 5,
        "keepalives_idle": 30,
        "tcp_user_timeout": 30_000,
        "application_name": "muster",
    },
)

# --- Celery: messages are only wake-ups, the truth is in Postgres ---------------------------------------------------

MUSTER_BROKER_URL = env.broker("MUSTER_BROKER_URL", paths.broker_url(MUSTER_HOME))
COLLECT_SOFT_LIMIT_S = 90
COLLECT_HARD_LIMIT_S = 120
CELERY_BROKER_URL = MUSTER_BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 600_000  # kB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_TIME_LIMIT = COLLECT_HARD_LIMIT_S
CELERY_TASK_SOFT_TIME_LIMIT = COLLECT_SOFT_LIMIT_S
CELERY_TASK_ROUTES = {"fleet.tasks.collect": {"queue": "collect"}, "fleet.tasks.collect_telemetry": {"queue": "collect"}}
if MUSTER_BROKER_URL.startswith("redis"):
    # Redis redelivers what a killed worker held only after the visibility time-out and at its own slow sweep: both are
    # shortened here, and every hard time limit stays below the time-out, so that no living task is handed out twice.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
CELERY_BEAT_SCHEDULE_FILENAME = str(MUSTER_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "fleet.tasks.tick", "schedule": 5.0, "options": {"expires": 5}},
    "promises": {"task": "fleet.tasks.promises", "schedule": 60.0, "options": {"expires": 60}},
    "requests": {"task": "fleet.tasks.requests", "schedule": 60.0, "options": {"expires": 60}},
    "silence": {"task": "fleet.tasks.silence", "schedule": 15.0, "options": {"expires": 15}},
    "rollups": {"task": "fleet.tasks.rollups", "schedule": 60.0, "options": {"expires": 60}},
    "notify": {"task": "fleet.tasks.notify", "schedule": 5.0, "options": {"expires": 5}},
    "retention": {"task": "fleet.tasks.retention", "schedule": 3600.0, "options": {"expires": 3600}},
}

# Counts of what callers asked and of sign-ins that were tried, in each web process for itself. At Django's 300 entries a few
# callers more would push each other's counts out.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}},
}

# --- clusters -----------------------------------------------------------------------------------------------------

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
SIMULATED_KUBECONFIG = MUSTER_HOME / "simulated" / "kubeconfig"
MUSTER_KUBECONFIG = env.text("MUSTER_KUBECONFIG") or ("" if IN_CLUSTER else str(SIMULATED_KUBECONFIG))
IS_SIMULATED = not env.text("MUSTER_KUBECONFIG") and not IN_CLUSTER
MUSTER_CONTEXTS = env.words("MUSTER_CONTEXTS")
COLLECT_INTERVAL = timedelta(seconds=env.integer("MUSTER_COLLECT_INTERVAL", 60, at_least=5, at_most=86_400))
COLLECT_DEADLINE_S = env.integer("MUSTER_COLLECT_DEADLINE", 60, at_least=5, at_most=COLLECT_SOFT_LIMIT_S - 10)
STALE_AFTER = timedelta(minutes=env.integer("MUSTER_UNKNOWN_AFTER_MINUTES", 15, at_least=1, at_most=1440))
REQUIRED_RUNG = env.integer("MUSTER_REQUIRED_RUNG", 7, at_least=0, at_most=9)
BOOT_GRACE = timedelta(seconds=env.integer("MUSTER_BOOT_GRACE", 300, at_least=0, at_most=86_400))
INCIDENT_GRACE = timedelta(seconds=env.integer("MUSTER_INCIDENT_GRACE", 180, at_least=0, at_most=86_400))
FLAP_WITHIN = timedelta(seconds=env.integer("MUSTER_FLAP_WITHIN", 600, at_least=0, at_most=86_400))
FLAP_WINDOW, FLAP_CHANGES = timedelta(hours=1), 4
TELEMETRY_INTERVAL = timedelta(seconds=env.integer("MUSTER_TELEMETRY_INTERVAL", 30, at_least=5, at_most=86_400))
TELEMETRY_RETENTION = timedelta(hours=env.integer("MUSTER_TELEMETRY_HOURS", 24, at_least=1, at_most=24 * 31))
TELEMETRY_SOURCE = env.choice("MUSTER_TELEMETRY", "pod-proxy", ("pod-proxy", "direct", "prometheus"))
TELEMETRY_WORKERS = env.integer("MUSTER_TELEMETRY_WORKERS", 32, at_least=1, at_most=256)
TELEMETRY_TIMEOUT_S = env.integer("MUSTER_TELEMETRY_TIMEOUT", 5, at_least=1, at_most=60)
PROMETHEUS_URL = env.url("MUSTER_PROMETHEUS_URL", "", ("http", "https"), like="http://prometheus.example.com:9090")
if TELEMETRY_SOURCE == "prometheus" and not PROMETHEUS_URL:
    raise ImproperlyConfigured(
        "MUSTER_TELEMETRY=prometheus needs the address of the server in MUSTER_PROMETHEUS_URL. Where each cluster has a server "
        "of its own, leave MUSTER_TELEMETRY out: `manage.py telemetry_source CLUSTER prometheus --prometheus-url URL` names it."
    )
PROMETHEUS_TOKEN = env.text("MUSTER_PROMETHEUS_TOKEN")
PERIOD_RETENTION = timedelta(days=env.integer("MUSTER_HISTORY_DAYS", 400, at_least=1, at_most=3650))
REVISION_RETENTION = timedelta(days=env.integer("MUSTER_REVISION_DAYS", 400, at_least=1, at_most=3650))
RUN_RETENTION = timedelta(days=env.integer("MUSTER_RUN_DAYS", 14, at_least=1, at_most=3650))
POD_RETENTION = timedelta(days=env.integer("MUSTER_POD_DAYS", 14, at_least=1, at_most=3650))
NOTICE_RETENTION = timedelta(days=env.integer("MUSTER_NOTICE_DAYS", 90, at_least=1, at_most=3650))

# --- notifications and metrics --------------------------------------------------------------------------------------

PUBLIC_URL = env.url("MUSTER_URL", "", ("http", "https"), like="https://muster.example.com").rstrip("/")
NOTIFY_ALLOWED_NETWORKS, NOTIFY_ALLOWED_HOSTS = env.networks("MUSTER_NOTIFY_ALLOW_PRIVATE")
METRICS_TOKEN = env.text("MUSTER_METRICS_TOKEN")

# --- pages, API, files --------------------------------------------------------------------------------------------

PAGE_REFRESH_S = 15
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("MUSTER_STATIC_ROOT", str(MUSTER_HOME / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "fleet.config.finders.PlotlyFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 3600

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fleet.api.authentication.TokenAuthentication",
        "fleet.api.authentication.PageSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["fleet.api.permissions.ByRole"],
    "DEFAULT_PAGINATION_CLASS": "fleet.api.pagination.CursorPages",
    "DEFAULT_RENDERER_CLASSES": ["fleet.api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fleet.api.renderers.Formats",
    "DEFAULT_PARSER_CLASSES": ["fleet.api.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["fleet.api.filtering.FilterSets", "fleet.api.filtering.Ordering"],
    "DEFAULT_SCHEMA_CLASS": "fleet.api.schema.Schema",
    "DEFAULT_THROTTLE_CLASSES": ["fleet.api.throttling.PerUser"],
    "DEFAULT_THROTTLE_RATES": {"user": env.rate("MUSTER_API_RATE", "6000/min")},
    "EXCEPTION_HANDLER": "fleet.api.problems.problem_details",
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
    "DESCRIPTION": "What every GPU node of every Kubernetes cluster told Kubernetes.",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["fleet.api.permissions.ByRole"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PATH_CONVERTER_OVERRIDES": {
        "cluster": {"type": "string", "description": "The cluster's name, `~` in it written as `~0` and `/` as `~1`."},
    },
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["fleet.api.schema.add_problem"],
}

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # A line for every tick would bury the lines that matter.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "kubernetes": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
    },
}
SILENCED_SYSTEM_CHECKS: list[str] = []
