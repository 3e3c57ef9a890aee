# Two images (docs/how-to/cloud-run.md):
#   docker build --target worker .   launches the Flex Template, and is Beam's worker
#   docker build .                   launcher, collector, dispatcher or ingest worker, by its command

# Python's minor version and Beam's version are those of the worker's boot program; setup.py pins the
# same Beam, a test holds them together.
ARG BEAM=2.77.0
ARG PYTHON=3.11
ARG TEMPLATE_LAUNCHER=20260122_RC00

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base:${TEMPLATE_LAUNCHER} AS template

FROM python:${PYTHON}-slim-bookworm AS source
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
COPY setup.py pyproject.toml constraints.txt README.md LICENSE ./
COPY chains.yaml cron.yaml dispatch.yaml queue.yaml ./
COPY dfpipe dfpipe
COPY service service
COPY system system
COPY taskqueue taskqueue
COPY workflow workflow
COPY collector collector
COPY launcher launcher

FROM source AS worker
RUN pip install --constraint constraints.txt '.[beam,local]' && pip check
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=template /opt/google/dataflow/python_template_launcher /opt/google/dataflow/
COPY template.py /template/
# The template's launcher runs this file; a worker is started by the entry point.
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/template.py
ENTRYPOINT ["/opt/apache/beam/boot"]

FROM source AS service
RUN pip install --constraint constraints.txt '.[collector,launcher]' && pip check \
    && useradd --system --uid 10001 --create-home dfpipe
COPY chains-dataflow.yaml ./
USER 10001
ENV PORT=8080
# Another service is another command: collector serve, taskqueue dispatch, collector ingest-worker.
CMD ["sh", "-c", "exec launcher serve --host 0.0.0.0 --port \"$PORT\""]
