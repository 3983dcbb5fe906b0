"""The Django project: settings driven by the environment, URLs, Celery and the WSGI entry."""

# Loading the settings loads the Celery app: without it, pages would use Celery's default broker.
from fleet.config.celery import app as celery_app

__all__ = ["celery_app"]
