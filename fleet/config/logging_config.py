"""Logging configuration; logs.py has the filters and the JSON format."""

from __future__ import annotations

from typing import Any


def of(level: str, line_format: str) -> dict[str, Any]:
    """Returns Django's LOGGING for a level and a format (line or json)."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"format": "{asctime} {levelname} {name}: {message}{request}", "style": "{"},
            "json": {"()": "fleet.config.logs.JsonLines"},
        },
        "filters": {
            "once": {"()": "fleet.config.logs.Once"},
            "without_secrets": {"()": "fleet.config.logs.WithoutSecrets"},
            "with_request": {"()": "fleet.config.logs.WithRequest"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": line_format,
                "filters": ["once", "without_secrets", "with_request"],
            },
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # A line for every tick would hide the important lines.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "kubernetes": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.security": {"handlers": [], "level": "INFO", "propagate": True},
        },
    }
