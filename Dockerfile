# Retouch with profile `lite`, CPU only; weights are fetched while building, so that a container needs no
# network to start.
FROM python:3.12-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /venv
COPY pyproject.toml README.md LICENSE ./
COPY server ./server
COPY models ./models
COPY pipelines ./pipelines
COPY storage ./storage
RUN /venv/bin/pip install --no-cache-dir .
RUN RETOUCH_DATA_DIR=/data /venv/bin/python -m models.weights_tool fetch lite

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --create-home retouch \
    && mkdir /data && chown retouch /data
COPY --from=build /venv /venv
COPY --from=build --chown=retouch /data /data
USER retouch
ENV RETOUCH_DATA_DIR=/data RETOUCH_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["/venv/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz')"]
# A container's address is no loopback: RETOUCH_API_TOKENS must be given.
CMD ["/venv/bin/python", "-m", "server"]
