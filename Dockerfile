# qrelay in a container: docs/guide/docker.md says how it is used.
#
# It listens on all of the container's addresses, so it does not start without QRELAY_API_KEYS and QRELAY_ADMIN_SECRET
# (exit code 78). Everything that is kept is in the volume /data; the rest may be read-only.
#
# To pin the base, name it by digest: docker build --build-arg BASE=python:3.12-slim-bookworm@sha256:...
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
COPY requirements/extras.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/qrelay
RUN pip --python /opt/qrelay/bin/python install --no-cache-dir --require-hashes -r requirements/extras.txt
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels .
RUN pip --python /opt/qrelay/bin/python install --no-cache-dir --no-deps --no-index --find-links wheels qrelay
RUN mkdir -m 700 data

FROM ${BASE}
COPY --from=build /opt/qrelay /opt/qrelay
COPY --from=build --chown=65532:65532 /build/data /data
ENV PATH=/opt/qrelay/bin:/usr/local/bin:/usr/bin:/bin
ENV HOME=/data
ENV PYTHONDONTWRITEBYTECODE=1
ENV QRELAY_HOME=/data
ENV QRELAY_HOST=0.0.0.0
ENV QRELAY_PORT=8000
WORKDIR /data
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD ["qrelay", "health"]
ENTRYPOINT ["qrelay"]
CMD ["serve"]
