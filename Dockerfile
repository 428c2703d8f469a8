# Before a release, pin the base by its digest: `docker buildx imagetools inspect python:3.13-slim-bookworm` names it,
# and the line becomes python:3.13-slim-bookworm@sha256:... (no digest could be looked up where this was written).
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements.build.lock ./
# Where pip finds its index, and by which CA, is the matter of the machine that builds: two secrets, both optional, which
# no layer keeps. /opt/venv is filled by the pip of the other environment and has none of its own.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.pem,target=/run/secrets/ca.pem \
    python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements.build.lock \
 && python -m venv --without-pip /opt/venv \
 && /opt/build/bin/pip --python /opt/venv install --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY templates ./templates
COPY notification_service ./notification_service
# The list of what is in it (CycloneDX, with licences) is made of what is installed, not of what was asked for.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/pip --python /opt/venv install --no-deps --no-index /dist/*.whl \
 && /opt/build/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
    --output-file /opt/venv/sbom.cdx.json /opt/venv

FROM ${BASE}
ARG BASE
ARG REVISION=unknown
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_FORMAT=json \
    OUTBOX_DIR=/var/lib/notification-service/outbox
# The official base has no bytecode of the library, and on a read-only root each start and each health check would
# compile it anew. pip, and what would bring it back, are of no use here.
RUN python -m pip --disable-pip-version-check uninstall --yes --root-user-action=ignore pip \
 && library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && rm -r "$library/ensurepip" \
 && python -m compileall -q -x '/(site-packages|dist-packages|test|tests|idlelib|lib2to3|turtledemo)/' "$library"
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
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "notification_service.observability.liveness"]
# Signals wait until the handlers stand: as process 1 without an init, an early one would be ignored.
ENTRYPOINT ["env", "--block-signal=TERM,INT", "notification-service"]
CMD ["run"]
LABEL org.opencontainers.image.title="notification-service" \
      org.opencontainers.image.description="Turns booking and payment events into e-mails." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE}"
