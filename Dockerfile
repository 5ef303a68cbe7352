# Two images of one source: `serving` answers requests and reads texts without torch, `training` does everything.
#
#   docker build --target serving  -t xinjian-serving:0.1.0 .
#   docker build --target training -t xinjian-training:0.1.0 .
#
# Behind a mirror: --build-arg BASE=MIRROR/python:3.11-slim-trixie, and --secret id=pip,src=pip.conf for pip's own.

ARG BASE=python:3.11-slim-trixie

FROM ${BASE} AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /usr/local/src/xinjian
RUN python -m venv /usr/local/xinjian
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY models models
COPY training training
COPY serving serving
COPY xinjian xinjian

# The extra `text` would bring torch; reading texts needs only an engine and the tokenizer.
FROM source AS built-serving
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /usr/local/xinjian/bin/pip install -c constraints.txt '.[serving,s3,openvino]' onnxruntime tokenizers \
 && /usr/local/xinjian/bin/pip check

FROM source AS built-training
ARG EXTRAS=training,serving,text,openvino,s3
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /usr/local/xinjian/bin/pip install -c constraints.txt ".[${EXTRAS}]" \
 && /usr/local/xinjian/bin/pip check

# libgomp1 is LightGBM's; pg_dump, for `xinjian serve backup`, must not be older than the server (17 here).
FROM ${BASE} AS runtime
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 postgresql-client \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 xinjian \
 && useradd --system --uid 10001 --gid 10001 --home-dir /srv/xinjian --shell /usr/sbin/nologin xinjian \
 && install -d -o xinjian -g xinjian -m 700 /srv/xinjian /var/cache/xinjian
ENV PATH=/usr/local/xinjian/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    NUMBA_CACHE_DIR=/var/cache/xinjian \
    MPLCONFIGDIR=/var/cache/xinjian \
    MLFLOW_DISABLE_TELEMETRY=true \
    XINJIAN_HOME=/srv/xinjian \
    XINJIAN_LOG_FORMAT=json
WORKDIR /srv/xinjian
ENTRYPOINT ["xinjian"]

FROM runtime AS training
COPY --from=built-training /usr/local/xinjian /usr/local/xinjian
USER 10001:10001
CMD ["--help"]

# Plain HTTP on every address of the container: publish it to a TLS proxy alone.
FROM runtime AS serving
COPY --from=built-serving /usr/local/xinjian /usr/local/xinjian
ENV XINJIAN_HOST=0.0.0.0
EXPOSE 8000
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as ask; ask.urlopen('http://127.0.0.1:' + os.environ.get('XINJIAN_PORT', '8000') + '/health/live', timeout=4)"]
CMD ["serve", "api"]
