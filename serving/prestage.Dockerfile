# The image of the prestage Jobs. Build it from the root of the repository:
#   docker build -f serving/prestage.Dockerfile --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:… .
# CI resolves the digest of the base (docs/prestage-image.md); the tag below is for a first try.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
COPY serving/prestage.requirements.txt /build/requirements.txt
# Wheels only: nothing of a package runs here. Compiled at build time, as the Job's root file system is read-only.
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
    --compile --target /opt/modelyard/packages -r /build/requirements.txt
COPY generator/__init__.py generator/filechoice.py generator/safetensors.py /opt/modelyard/app/generator/
COPY generator/prestage /opt/modelyard/app/generator/prestage
RUN python -m compileall -q /opt/modelyard/app

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="modelyard-prestage" \
      org.opencontainers.image.description="Copies a model from the Hugging Face Hub into S3 or a volume, verified, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/modelyard /opt/modelyard
ENV PYTHONPATH=/opt/modelyard/app:/opt/modelyard/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    HOME=/tmp
USER 65532:65532
WORKDIR /tmp
# A Job ends; Kubernetes looks at its exit status, and there is nothing to probe.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "generator.prestage"]
