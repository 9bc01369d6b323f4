# Two images from one file: `--target cpu` (profile lite; contains its weights, so a container starts without
# network) and `--target cuda` (profiles open and bria; weights are mounted). Needs BuildKit.
#
# Both use one slim base. Torch's wheels contain the CUDA libraries, so NVIDIA's CUDA images would add a second
# copy; NVIDIA's container toolkit provides the driver of the host. Where no registry can be reached, BASE names
# another image with Python 3.11 to 3.14 (scripts/build-image makes one of Debian's packages).
ARG BASE=python:3.12.13-slim-bookworm@sha256:8a7e7cc04fd3e2bd787f7f24e22d5d119aa590d429b50c95dfe12b3abe52f48b
FROM ${BASE} AS base
# The weights are outside /data, which is a volume, so that an old volume uses the weights of a new image.
# KubeRay starts Ray with a login shell, which has only /usr/local/bin in its path.
RUN groupadd --system --gid 10001 retouch \
    && useradd --system --uid 10001 --gid 10001 --create-home retouch \
    && install -d -o retouch -g retouch /data /opt/retouch/weights \
    && ln -s /opt/retouch/weights /data/weights \
    && ln -s /venv/bin/ray /venv/bin/serve /usr/local/bin/
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/tmp/huggingface \
    RAY_USAGE_STATS_ENABLED=0 \
    RETOUCH_DATA_DIR=/data \
    RETOUCH_HOST=0.0.0.0
# Whether to make a token, not one.
# hadolint ignore=DL3064
ENV RETOUCH_MAKE_TOKEN=true

FROM base AS sources
WORKDIR /src
# The program is not in the environment but beside it, so that no path names a version of Python.
RUN python -m venv /venv \
    && echo /opt/retouch/program > "$(/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/retouch.pth"
# The dependencies without the program: this layer of up to 6 GB is built again only when they change.
COPY deploy/requirements ./requirements

FROM sources AS cpu-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --require-hashes --requirement requirements/cluster.txt

FROM sources AS cuda-dependencies
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --require-hashes --requirement requirements/gpu-cluster.txt

FROM base AS program
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY retouch ./retouch
COPY server ./server
COPY models ./models
COPY pipelines ./pipelines
COPY imaging ./imaging
COPY storage ./storage
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --no-deps --target /program .

FROM base AS runtime
LABEL org.opencontainers.image.title="Retouch" \
    org.opencontainers.image.description="A self-hosted inference server that stands in for Bria's hosted API" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY deploy/serve-in-cluster /usr/local/bin/
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# A port that is not a number counts as unset, as in the server: empty, or set by Kubernetes for a Service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["/venv/bin/python", "-c", "import os, urllib.request as u; p = os.environ.get('RETOUCH_PORT', '').strip(); u.urlopen('http://127.0.0.1:' + (p if p.isdecimal() else '8000') + '/readyz', timeout=2)"]
# A container does not listen on loopback, so it needs a token: in RETOUCH_API_TOKENS, or in the database. If there
# is none it makes one and prints it (RETOUCH_MAKE_TOKEN), so that `docker run -p 127.0.0.1:8000:8000 IMAGE` works.
CMD ["/venv/bin/python", "-m", "server"]

FROM runtime AS cuda
COPY --from=cuda-dependencies /venv /venv
COPY --from=program /program /opt/retouch/program
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    RETOUCH_PROFILE=open

FROM runtime AS cpu-program
COPY --from=cpu-dependencies /venv /venv
COPY --from=program /program /opt/retouch/program

FROM cpu-program AS cpu-weights
RUN python -m retouch weights fetch lite

FROM cpu-program AS cpu
COPY --from=cpu-weights /opt/retouch/weights /opt/retouch/weights
