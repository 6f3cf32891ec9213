# meetsplit in a container, for the CPU or for NVIDIA GPUs; docs/install.md says how to use it.
#
#     docker build -t meetsplit .                                    CPU only
#     docker build -t meetsplit:cuda --build-arg VARIANT=cuda .      with NVIDIA's libraries, several GB more
#
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

# torch first, in its own layer: changes to the code leave it alone. PyPI's torch for Linux brings NVIDIA's libraries
# along, PyTorch's own index has one without them. The bounds are those of pyproject.toml.
ARG VARIANT=cpu
RUN case "$VARIANT" in \
      cpu) index=https://download.pytorch.org/whl/cpu ;; \
      cuda) index=https://pypi.org/simple ;; \
      *) echo "VARIANT is cpu or cuda, not $VARIANT" >&2; exit 1 ;; \
    esac \
 && pip install --no-cache-dir --index-url "$index" 'torch>=2.8,<2.12' 'torchaudio>=2.8,<2.11.1'

# `.[offline]` leaves torch as it is: it is within the bounds.
COPY . /src
RUN pip install --no-cache-dir '/src[offline]' && rm -rf /src

# Models and finished stages lie in /cache, jobs in /state: volumes for what is to outlive the container. Recordings
# and results belong into /recordings, which has to be writable by this user: --build-arg UID="$(id -u)" makes it you.
ARG UID=1000
RUN useradd --uid "$UID" --create-home meetsplit \
 && mkdir /cache /state /recordings \
 && chown meetsplit /cache /state /recordings
USER meetsplit
ENV XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface \
    MEETSPLIT_STATE=/state \
    PYTHONUNBUFFERED=1
# The two small models that need no account: the image works without a network.
RUN meetsplit models fetch embedded --quiet

WORKDIR /recordings
ENTRYPOINT ["meetsplit"]
CMD ["--help"]
