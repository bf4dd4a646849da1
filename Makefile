# Viewfinder needs Python 3.11-3.13 (with venv) and make; everything else is set up here.
PORT ?= 8000
# Extras of the package to have at hand, for example: make test EXTRAS=train
EXTRAS ?=
UV := $(or $(shell command -v uv),.uv/bin/uv)
PYTHONS := python3 python3.13 python3.12 python3.11
# Only who has no uv needs venv, to get one.
VENV := $(if $(filter .uv/%,$(UV)),import ensurepip; )
PYTHON ?= $(shell for p in $(PYTHONS); do \
	$$p -c '$(VENV)import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && { echo $$p; break; }; done)
# Exactly what uv.lock says, with its hashes; what is there already for another target stays.
SYNC = $(UV) sync --frozen --inexact --compile-bytecode --python "$(PYTHON)"
COMMA := ,
EMPTY :=
READY = .venv/ready-$(1)$(subst $(EMPTY) $(EMPTY),$(COMMA),$(sort $(EXTRAS)))
BIN := .venv/bin

.PHONY: help python setup dev serve test pictures fuzz soak check format bench dist sbom audit clean
.DELETE_ON_ERROR:

help:
	@echo "make serve    set up and serve on http://127.0.0.1:$(PORT)   (PORT=8080 for another)"
	@echo "make test     set up and run the tests    (EXTRAS=train for those that need TensorFlow)"
	@echo "make pictures take the documentation's pictures of the pages anew    (needs Chromium)"
	@echo "make docs     write the reference anew, and build the documentation into site/"
	@echo "make reference write the pages that are made from the code anew"
	@echo "make fuzz     post 10,000 broken images to a server   (MUTANTS_SEED=2 for others)"
	@echo "make soak     show the promises of robustness in full, which takes long"
	@echo "make setup    set up only: .venv/bin/viewfinder"
	@echo "make check    format, lint, types, layers"
	@echo "make format   mend what can be mended"
	@echo "make bench    run the benchmarks    (QUICK=1 for short runs, EXTRAS=train for the tutorial's code)"
	@echo "make dist     build wheel and sdist into dist/"
	@echo "make sbom     list what is installed, with hashes, as CycloneDX    (EXTRAS as above)"
	@echo "make audit    ask whether any of it has a known vulnerability    (EXTRAS as above)"
	@echo "make clean    remove all that this made"

# Without a Python that will do, say which there are and how to get one.
python:
	@test -n "$(PYTHON)" || { \
	echo "Viewfinder needs Python 3.11, 3.12 or 3.13 with the module venv. Found:"; \
	for p in $(PYTHONS); do command -v $$p >/dev/null || continue; \
	v=$$($$p -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || continue; \
	$$p -c 'import ensurepip' 2>/dev/null || v="$$v, without venv"; echo "  $$p: $$v"; done; \
	echo "On Debian and Ubuntu: sudo apt-get install python3 python3-venv"; \
	echo "Where that brings another version, install one of these and name it:"; \
	echo "  make serve PYTHON=/path/to/python3.12"; \
	exit 1; } >&2

.uv/bin/uv: | python
	"$(PYTHON)" -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

$(call READY,serve): uv.lock pyproject.toml | python $(UV)
	$(SYNC) --no-dev $(EXTRAS:%=--extra %)
	@touch $@

$(call READY,dev): uv.lock pyproject.toml | python $(UV)
	$(SYNC) $(EXTRAS:%=--extra %)
	@touch $@

# What only the benchmarks need: another HTTP server, plots.
$(call READY,bench): uv.lock pyproject.toml | python $(UV)
	$(SYNC) --group bench $(EXTRAS:%=--extra %)
	@touch $@

setup: $(call READY,serve)
dev: $(call READY,dev)

serve: setup
	@$(BIN)/viewfinder serve --port $(PORT)

# In the order of tests/conftest.py, and not by how many tests a file has. What compares rates of
# answers has the machine for itself.
ALONE := tests/robustness/test_overload.py
test: dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ALONE:%=--ignore %)
	$(BIN)/pytest $(ALONE)

# The documentation's, taken by the tests that look at the pages.
pictures: dev
	$(UV) sync --frozen --inexact --quiet --only-group browser --python $(BIN)/python
	TESTS_PICTURES=1 $(BIN)/pytest tests/web

.PHONY: docs reference
# Every link is looked at; what is in nobody's table of contents is a test's business.
docs: reference
	$(UV) sync --frozen --inexact --quiet --only-group docs --python $(BIN)/python
	$(BIN)/python -m scripts.build_site site
	@echo "site/index.html; to search it, too: $(BIN)/python -m http.server --bind 127.0.0.1 --directory site 8080"

reference: dev
	$(BIN)/python -m scripts.reference

fuzz: dev
	TESTS_FULL=1 $(BIN)/pytest -s tests/robustness/test_mutated_images.py

soak: dev
	TESTS_FULL=1 $(BIN)/pytest tests/robustness -v --durations=0

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(call READY,bench)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

# With a build backend whose hashes are known, too.
dist: | $(UV)
	rm -f dist/*.whl dist/*.tar.gz
	$(UV) build --quiet --out-dir dist --build-constraints deploy/docker/build.txt --require-hashes
	$(UV) tool run twine@6.2.0 check --strict dist/*.whl dist/*.tar.gz

# What uv.lock has for an install, without what is for developers.
LOCKED = $(UV) export --quiet --frozen --no-dev --no-emit-project $(EXTRAS:%=--extra %)
SBOM ?= dist/viewfinder.cdx.json

sbom: | $(UV)
	@mkdir -p "$(dir $(SBOM))"
	$(LOCKED) --preview-features sbom-export --format cyclonedx1.5 --output-file "$(SBOM)"

audit: | $(UV)
	@mkdir -p dist
	$(LOCKED) --output-file dist/locked.txt
	$(UV) tool run pip-audit@2.10.1 --strict --require-hashes --disable-pip --progress-spinner off \
		--requirement dist/locked.txt

clean:
	rm -rf .venv .uv .tools .peers dist site .mypy_cache .pytest_cache .ruff_cache benchmarks/results
