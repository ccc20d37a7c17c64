# The verbs of this project. Everything runs in .venv, made from requirements/lock.txt.
# One compiled by its user without optimizations, as pyenv does it unasked, takes a third longer than the system's for what is
# Python, and a sixth longer for all tests.
SLOW := import sys, sysconfig; sys.exit(sys.base_prefix == "/usr" or "--enable-optimizations" in sysconfig.get_config_var("CONFIG_ARGS"))
FIT := import ensurepip, sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell if python3 -c '$(SLOW)' && /usr/bin/python3 -c '$(FIT)'; then echo /usr/bin/python3; else echo python3; fi 2> /dev/null)
# Processes of the tests.
WORKERS ?= 3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo quickstart test programs plugins browser slurm-node lint docs bench verify env slurm cluster-generic dask lock clean

# The library too is compiled where it lies: jobs of a run would each do it, where Python may write no bytecode.
env: .venv/installed
	@$(BIN)/python -m compileall -q src workflow/scripts

.venv/installed: requirements/bootstrap.txt requirements/lock.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/lock.txt
	# Compiled once, here: where Python may write no bytecode, each of a run's many processes would compile all it imports. A third
	# is imported by nothing.
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/|/site-packages/(mypy|mypyc|pip)/|/torch/testing/_internal/' $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || :
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: env
	@began=$$(date +%s) && \
	$(SNAKEMAKE) --cores all --resources gpu=1 all && \
	ran=$$(date +%s) && \
	$(SNAKEMAKE) --report results/report.zip && \
	echo "Run $$((ran - began)) s, report $$(($$(date +%s) - ran)) s, without installation." && \
	echo "The report is $(CURDIR)/results/report.zip: unpack it and open report/report.html"

# In a folder of its own: results beside those of the demo, and the downloads stay there for the next time.
quickstart: env
	@mkdir -p quickstart && began=$$(date +%s) && \
	$(SNAKEMAKE) --directory quickstart --configfile config/quickstart.yaml --cores all --resources gpu=1 $(ARGUMENTS) -- all && \
	ran=$$(date +%s) && \
	$(SNAKEMAKE) --directory quickstart --configfile config/quickstart.yaml --report results/report.zip $(ARGUMENTS) && \
	echo "Run $$((ran - began)) s, report $$(($$(date +%s) - ran)) s, without installation." && \
	echo "The report is $(CURDIR)/quickstart/results/report.zip: unpack it and open report/report.html"

# Workers with a thread each, one more than two processors have: tests of whole runs wait for a third of their time. They take
# files in the order of tests/conftest.py, the long ones first, so that all end at about the same time. Memory that an array has
# left stays with its process for the next one, up to a quarter of a gigabyte: giving it back and asking for it anew is a tenth of the time.
test: env programs plugins
	OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=268435456 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# What some tests use besides: where something cannot be installed, they are skipped and say so. One after the other, since
# apt-get works once at a time.
programs:
	@-$(MAKE) --no-print-directory browser
	@-$(MAKE) --no-print-directory slurm-node

plugins: env
	@-$(MAKE) --no-print-directory --keep-going slurm cluster-generic

# Chromium, in which the tests use the pages of the report; PATCHPROBE_BROWSER names another one.
browser:
	@for name in $${PATCHPROBE_BROWSER:-chromium chromium-browser google-chrome}; do \
	  if command -v "$$name" > /dev/null; then echo "The tests use $$name."; exit; fi; \
	done; \
	if [ -z "$$PATCHPROBE_BROWSER" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium; \
	else \
	  echo "There is no browser $$PATCHPROBE_BROWSER: install chromium (apt-get install chromium) or google-chrome, or set PATCHPROBE_BROWSER to a program"; \
	  exit 1; \
	fi

# SLURM's programs, of which the tests start a cluster of one node for themselves; nothing is configured or started here.
slurm-node:
	@missing=; for name in slurmctld slurmd munged sbatch; do \
	  command -v "$$name" > /dev/null || [ -x "/usr/sbin/$$name" ] || missing="$$missing $$name"; \
	done; \
	if [ -z "$$missing" ]; then echo "The tests start a SLURM of their own."; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends slurm-wlm munge; \
	else \
	  echo "There is no$$missing, so the tests of SLURM are skipped: install slurm-wlm and munge (apt-get install slurm-wlm munge)"; \
	  exit 1; \
	fi

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/snakefmt --check Snakefile rules workflow/Snakefile
	$(SNAKEMAKE) --lint

# In an environment of its own, which needs neither torch nor the rest. The variable silences the theme's advertisement.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "The site is $(CURDIR)/site/index.html"

.venv-docs/installed: requirements/bootstrap.txt requirements/docs.txt
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	.venv-docs/bin/uv pip install --quiet --python .venv-docs/bin/python --require-hashes -r requirements/docs.txt
	touch $@

bench: env
	$(BIN)/python -m benchmarks

verify: env
	$(BIN)/python -m patchprobe.run.verification $(RESULTS)

# Plugins that start jobs elsewhere, each in an environment that adds it to .venv and is used in its place: Snakemake imports every
# plugin it finds at each call, and that of SLURM asks the controller then, ten seconds long where none answers.
# Each job there is a call of Snakemake or two, which takes a seventh less where Python does not look among modules for garbage.
slurm cluster-generic: %: .venv-%/installed
	@echo "To use it: . .venv-$@/bin/activate"

.venv-%/installed: requirements/%.txt .venv/installed
	$(BIN)/python -m venv --clear --without-pip .venv-$*
	$(BIN)/python -c 'import sysconfig; print("import gc, site; gc.set_threshold(50000); site.addsitedir(\"" + sysconfig.get_path("purelib") + "\")")' \
	  > $$(.venv-$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/patchprobe-base.pth
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-$*/bin/python --no-deps --require-hashes -r requirements/$*.txt
	$(BIN)/uv pip install --quiet --python .venv-$*/bin/python --no-deps --no-build-isolation --editable .
	touch $@

# dask-jobqueue, whose workers are jobs of a queue, and bokeh, which draws the dashboard.
dask: env
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dask.txt

lock:
	requirements/compile

clean:
	rm -rf .venv .venv-* site .pytest_cache .mypy_cache .ruff_cache .hypothesis
