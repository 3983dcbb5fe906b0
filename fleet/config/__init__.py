"""The Django project: settings driven by the environment, URLs, Celery and the WSGI entry."""
