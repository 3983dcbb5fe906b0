"""Every setting of Muster, driven by the environment (see .env.example), the same for development, tests and production."""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from fleet import __version__
from fleet.config import beat_schedule, cache, content_policy, env, logging_config, oidc
from fleet.config.api_settings import KNOX_TOKEN_MODEL, REST_FRAMEWORK, REST_KNOX, SPECTACULAR_SETTINGS
from fleet.embedded import paths

# Django reads these by their names.
__all__ = ["KNOX_TOKEN_MODEL", "REST_FRAMEWORK", "REST_KNOX", "SPECTACULAR_SETTINGS"]

BASE_DIR = Path(__file__).resolve().parents[2]
VERSION = __version__
MUSTER_HOME = Path(env.text("MUSTER_HOME", str(BASE_DIR / "var"))).expanduser().resolve()
PORT = env.integer("PORT", 8000, at_least=1, at_most=65535)
HEALTH_PORT = env.integer("MUSTER_HEALTH_PORT", 0, at_least=0, at_most=65535)

# --- hosts, keys and sessions -------------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", default=False)
# A key made here is valid for this process only: `manage.py run` and the image's entry point hand every process the same one.
SECRET_KEY = env.text("SECRET_KEY") or secrets.token_urlsafe(50)
SECRET_KEY_IS_GIVEN = bool(env.text("SECRET_KEY"))
# Earlier keys: what they signed and encrypted can still be read.
SECRET_KEY_FALLBACKS = list(env.words("SECRET_KEY_FALLBACKS"))
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]")))
CSRF_TRUSTED_ORIGINS = list(env.words("CSRF_TRUSTED_ORIGINS"))
BEHIND_TLS = env.boolean("BEHIND_TLS", default=False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "muster_session", "muster_csrf"
# A session ends this long after the sign-in, and this long after its person last did something; refreshes of a page do not count.
SESSION_COOKIE_AGE = env.integer("MUSTER_SESSION_HOURS", 168, at_least=1, at_most=24 * 90) * 3600
SESSION_IDLE = timedelta(minutes=env.integer("MUSTER_SESSION_IDLE_MINUTES", 720, at_least=5, at_most=60 * 24 * 90))
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = content_policy.POLICY

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
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "fleet",
    # For development only, absent from requirements.txt: keeps the migrations in one line. docs/adr/0037-migrations.md says why.
    *(app for app in ("django_linear_migrations",) if find_spec(app)),
]
MIDDLEWARE = [
    "fleet.web.middleware.request_ids.RequestIds",
    "fleet.web.middleware.guard.Guard",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "fleet.web.sign_in.sessions.Sessions",
    "fleet.web.middleware.limits.Limits",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fleet.web.middleware.guard.refuse_nul",
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
                "fleet.web.shell.chrome.chrome",
            ],
        },
    },
]
AUTH_USER_MODEL = "fleet.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
# django-allauth signs people in, with a second factor and through OIDC; its own pages for signing up and mail are not served.
OIDC = oidc.read()
SOCIALACCOUNT_PROVIDERS = oidc.providers(OIDC)
SOCIALACCOUNT_ADAPTER = "fleet.web.sign_in.sso.SsoAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = SOCIALACCOUNT_AUTO_SIGNUP = True
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
ACCOUNT_ADAPTER = "fleet.web.sign_in.adapters.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_NOTIFICATIONS = ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
MFA_ADAPTER = "fleet.web.sign_in.adapters.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Muster"
MFA_RECOVERY_CODES_SHOW_ONCE = MFA_ALLOW_UNVERIFIED_EMAIL = True
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "fleet"
LOGOUT_REDIRECT_URL = "sign-in"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ, USE_I18N = True, False

# --- Postgres -----------------------------------------------------------------------------------------------------

_LIKE = "postgres://user:password@host:5432/database"
DATABASE_URL = env.url("DATABASE_URL", paths.database_url(MUSTER_HOME), ("postgres", "postgresql"), like=_LIKE, host=False)
try:
    DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
except (ValueError, environ.ImproperlyConfigured) as error:
    raise ImproperlyConfigured(f"DATABASE_URL cannot be read: write it as {_LIKE}.") from error
if not DATABASES["default"]["NAME"] and "service" not in DATABASES["default"].get("OPTIONS", {}):
    raise ImproperlyConfigured(f"DATABASE_URL names no database: write it as {_LIKE}.")
DATABASES["default"]["PASSWORD"] = env.text("MUSTER_DATABASE_PASSWORD") or DATABASES["default"]["PASSWORD"]
# How long a query may run and wait for a lock, by kind of process (seconds; 0 is no limit): a page is given up before
# its user does, and a lock held elsewhere must not block every thread of the web server.
ROLE = env.role()
_STATEMENT_S, _LOCK_S = {"web": (15, 3), "worker": (80, 20), "command": (0, 0)}[ROLE]
_GIVEN_OPTIONS = str(DATABASES["default"].get("OPTIONS", {}).get("options", ""))
DATABASES["default"].update(
    CONN_MAX_AGE=300,
    CONN_HEALTH_CHECKS=True,
    # Advisory locks need a connection of their own: point DATABASE_URL past PgBouncer's transaction pooling.
    DISABLE_SERVER_SIDE_CURSORS=True,
    OPTIONS={
        **DATABASES["default"].get("OPTIONS", {}),
        "connect_timeout": 3 if ROLE == "web" else 5,
        "options": f"-c statement_timeout={_STATEMENT_S}s -c lock_timeout={_LOCK_S}s {_GIVEN_OPTIONS}".strip(),
        "keepalives_idle": 30,
        "tcp_user_timeout": 30_000,
        "application_name": env.application_name(SECRET_KEY if SECRET_KEY_IS_GIVEN else ""),
    },
)

# --- Celery: messages are only wake-ups, the state is in Postgres ---------------------------------------------------

MUSTER_BROKER_URL = env.broker("MUSTER_BROKER_URL", paths.broker_url(MUSTER_HOME), env.text("MUSTER_BROKER_PASSWORD"))
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
CELERY_TASK_ROUTES = {f"fleet.tasks.{name}": {"queue": "collect"} for name in ("collect", "collect_next", "collect_telemetry")}
if MUSTER_BROKER_URL.startswith("redis"):
    # Redis redelivers what a killed worker held only after the visibility time-out and at its own slow sweep: both are
    # shortened here, and every hard time limit stays below the time-out, so that no living task is handed out twice.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
CELERY_BEAT_SCHEDULER = "fleet.config.beat:Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(MUSTER_HOME / "beat-schedule")
CELERY_BEAT_SCHEDULE = beat_schedule.SCHEDULE

# Counts of API requests and sign-in attempts: shared by all web processes where the broker is Redis or Valkey,
# else of each process. At Django's 300 entries a few callers more would push each other's counts out.
_SHARED_CACHE = cache.address_of(MUSTER_BROKER_URL)
CACHES = {
    "default": {
        "BACKEND": "fleet.config.cache.SharedCache",
        "LOCATION": _SHARED_CACHE,
        "KEY_PREFIX": "muster",
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
    if _SHARED_CACHE
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}},
}

# --- clusters -----------------------------------------------------------------------------------------------------

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
SIMULATED_KUBECONFIG = MUSTER_HOME / "simulated" / "kubeconfig"
MUSTER_KUBECONFIG = env.text("MUSTER_KUBECONFIG") or ("" if IN_CLUSTER else str(SIMULATED_KUBECONFIG))
IS_SIMULATED = not env.text("MUSTER_KUBECONFIG") and not IN_CLUSTER
DEMO = env.boolean("MUSTER_DEMO", default=True) and IS_SIMULATED
MUSTER_CONTEXTS = env.words("MUSTER_CONTEXTS")
COLLECT_INTERVAL = timedelta(seconds=env.integer("MUSTER_COLLECT_INTERVAL", 60, at_least=5, at_most=86_400))
COLLECT_DEADLINE_S = env.integer("MUSTER_COLLECT_DEADLINE", 60, at_least=5, at_most=COLLECT_SOFT_LIMIT_S - 10)
SLOW_LANES = env.integer("MUSTER_SLOW_LANES", 1, at_least=1, at_most=64)
STALE_AFTER = timedelta(minutes=env.integer("MUSTER_UNKNOWN_AFTER_MINUTES", 15, at_least=1, at_most=1440))
FOUR_EYES = env.boolean("MUSTER_FOUR_EYES", default=True)
REQUIRED_RUNG = env.integer("MUSTER_REQUIRED_RUNG", 7, at_least=0, at_most=9)
BOOT_GRACE = timedelta(seconds=env.integer("MUSTER_BOOT_GRACE", 300, at_least=0, at_most=86_400))
INCIDENT_GRACE = timedelta(seconds=env.integer("MUSTER_INCIDENT_GRACE", 180, at_least=0, at_most=86_400))
FLAP_WITHIN = timedelta(seconds=env.integer("MUSTER_FLAP_WITHIN", 600, at_least=0, at_most=86_400))
FLAP_WINDOW, FLAP_CHANGES = timedelta(hours=1), 4
TELEMETRY_INTERVAL = timedelta(seconds=env.integer("MUSTER_TELEMETRY_INTERVAL", 30, at_least=5, at_most=86_400))
TELEMETRY_RETENTION = timedelta(hours=env.integer("MUSTER_TELEMETRY_HOURS", 24, at_least=1, at_most=24 * 31))
TELEMETRY_SOURCE = env.choice("MUSTER_TELEMETRY", "pod-proxy", ("pod-proxy", "direct", "prometheus"))
STACK_NAMESPACES = env.words("MUSTER_GPU_STACK_NAMESPACES")
TELEMETRY_WORKERS = env.integer("MUSTER_TELEMETRY_WORKERS", 32, at_least=1, at_most=256)
TELEMETRY_TIMEOUT_S = env.integer("MUSTER_TELEMETRY_TIMEOUT", 5, at_least=1, at_most=60)
PROMETHEUS_URL = env.url("MUSTER_PROMETHEUS_URL", "", ("http", "https"), like="http://prometheus.example.com:9090")
if TELEMETRY_SOURCE == "prometheus" and not PROMETHEUS_URL:
    raise ImproperlyConfigured(
        "MUSTER_TELEMETRY=prometheus needs the address of the server in MUSTER_PROMETHEUS_URL. Where each cluster has a server "
        "of its own, omit MUSTER_TELEMETRY: `manage.py telemetry_source CLUSTER prometheus --prometheus-url URL` names it."
    )
PROMETHEUS_TOKEN = env.text("MUSTER_PROMETHEUS_TOKEN")
PERIOD_RETENTION = timedelta(days=env.integer("MUSTER_HISTORY_DAYS", 400, at_least=1, at_most=3650))
REVISION_RETENTION = timedelta(days=env.integer("MUSTER_REVISION_DAYS", 400, at_least=1, at_most=3650))
RUN_RETENTION = timedelta(days=env.integer("MUSTER_RUN_DAYS", 14, at_least=1, at_most=3650))
POD_RETENTION = timedelta(days=env.integer("MUSTER_POD_DAYS", 14, at_least=1, at_most=3650))
AUDIT_RETENTION = timedelta(days=env.integer("MUSTER_AUDIT_DAYS", 730, at_least=30, at_most=3650))
NOTICE_RETENTION = timedelta(days=env.integer("MUSTER_NOTICE_DAYS", 90, at_least=1, at_most=3650))

# --- notifications and metrics --------------------------------------------------------------------------------------

NODE_LINKS = env.links("MUSTER_NODE_LINKS")
PUBLIC_URL = env.url("MUSTER_URL", "", ("http", "https"), like="https://muster.example.com").rstrip("/")
NOTIFY_ALLOWED_NETWORKS, NOTIFY_ALLOWED_HOSTS = env.networks("MUSTER_NOTIFY_ALLOW_PRIVATE")
NOTIFY_PROXY_RESOLVES = env.boolean("MUSTER_NOTIFY_PROXY_RESOLVES", default=False)
AUDIT_SYSLOG = env.url("MUSTER_AUDIT_SYSLOG", "", ("udp", "tcp", "tls"), like="tls://syslog.example.com:6514")
AUDIT_WEBHOOK = env.url("MUSTER_AUDIT_WEBHOOK", "", ("http", "https"), like="https://siem.example.com/muster")
AUDIT_WEBHOOK_SECRET = env.text("MUSTER_AUDIT_WEBHOOK_SECRET")
if AUDIT_WEBHOOK and len(AUDIT_WEBHOOK_SECRET) < 16:
    raise ImproperlyConfigured("MUSTER_AUDIT_WEBHOOK needs a MUSTER_AUDIT_WEBHOOK_SECRET of at least 16 characters to sign with.")
SECURITY_CONTACT = env.text("MUSTER_SECURITY_CONTACT")
if SECURITY_CONTACT and not SECURITY_CONTACT.startswith(("mailto:", "https://")):
    raise ImproperlyConfigured("MUSTER_SECURITY_CONTACT must begin with mailto: or https://, as mailto:security@example.com.")
# Without a configured token it is derived from SECRET_KEY, the same in every process: `manage.py metrics_token` prints it.
METRICS_TOKEN = env.text("MUSTER_METRICS_TOKEN") or hmac.new(SECRET_KEY.encode(), b"muster-metrics", "sha256").hexdigest()
METRICS_ARE_PUBLIC = env.boolean("MUSTER_METRICS_PUBLIC", default=False)

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

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOG_FORMAT = env.choice("LOG_FORMAT", "line", ("line", "json"))
LOGGING = logging_config.of(LOG_LEVEL, LOG_FORMAT)
SILENCED_SYSTEM_CHECKS: list[str] = []
