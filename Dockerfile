# Before a release, pin the base by its digest: `docker buildx imagetools inspect python:3.13-slim-bookworm` names it,
# and the line becomes python:3.13-slim-bookworm@sha256:... (no digest could be looked up where this was written).
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements.build.lock ./
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements.build.lock
COPY pyproject.toml README.md ./
COPY templates ./templates
COPY notification_service ./notification_service
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/venv/bin/pip install --no-deps /dist/*.whl

FROM ${BASE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_FORMAT=json \
    OUTBOX_DIR=/var/lib/notification-service/outbox
# A fixed uid, so that a mounted outbox can be given to it. Nothing else is ever written: the root may be read-only.
RUN groupadd --gid 10001 notification \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin notification \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/notification-service/outbox
COPY --from=build /opt/venv /opt/venv
USER 10001:10001
WORKDIR /var/lib/notification-service
VOLUME ["/var/lib/notification-service/outbox"]
EXPOSE 8084 8085
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "notification_service.ops.alive"]
ENTRYPOINT ["notification-service"]
CMD ["run"]
