# One image for API, consumers, simulator and the preparation of the broker: docker-compose.yml says which
# runs what. The store and the broker are images of their own.

FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements.txt requirements-services.in ./
# The services' packages, in the versions of requirements.txt; not its embedded store, which no service needs.
RUN python -m venv /opt/postroom \
    && /opt/postroom/bin/pip install --no-cache-dir --disable-pip-version-check \
        --requirement requirements-services.in --constraint requirements.txt \
    && /opt/postroom/bin/pip uninstall --yes --quiet pip

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin postroom
COPY --from=build /opt/postroom /opt/postroom
WORKDIR /app
COPY api api
COPY cli cli
COPY consumers consumers
COPY delivery delivery
COPY container container
COPY simulator simulator
COPY stack stack
COPY topology topology
# Compiled here, because the user below can write nothing.
RUN /opt/postroom/bin/python -m compileall -q .
ENV PATH=/opt/postroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
CMD ["gunicorn", "-c", "api/gunicorn_conf.py", "api:create_app()"]
