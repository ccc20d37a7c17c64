# docker build --tag patchprobe .      The steps are those of README.md; tests/unit/test_containers.py compares them.
FROM debian:12
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates git make python3 python3-venv
COPY . /patchprobe
WORKDIR /patchprobe
RUN make clean env
ENV PATH=/patchprobe/.venv/bin:$PATH
# Results come to be where a run is started, and this folder is the one to mount.
WORKDIR /runs
