# Viewfinder needs Python 3.11-3.13 (with venv) and make; everything else is set up here.
PORT ?= 8000
PYTHON ?= $(firstword $(foreach v,3.13 3.12 3.11,$(shell command -v python$(v))) python3)
# Extras of the package to have at hand, for example: make test EXTRAS=train
EXTRAS ?=

UV := $(or $(shell command -v uv),.uv/bin/uv)
SYNC := $(UV) sync --quiet --frozen --python $(PYTHON) --compile-bytecode
WITH := $(foreach extra,$(EXTRAS),--extra $(extra))
RUN := .venv/bin

.PHONY: help setup dev serve test check format bench clean

help:
	@echo "make setup   install Viewfinder into .venv"
	@echo "make serve   serve on http://127.0.0.1:$(PORT)"
	@echo "make test    run the tests             make check   format, lint, types, layers"
	@echo "make bench   run the benchmarks        make format  mend what can be mended"

# uv installs what uv.lock says, with hashes. Without one on the PATH, a private one comes from PyPI.
.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

setup: $(UV)
	@$(SYNC) --inexact --no-dev $(WITH)

dev: $(UV)
	@$(SYNC) --inexact $(WITH)

serve: setup
	@$(RUN)/viewfinder serve --port $(PORT)

test: dev
	$(RUN)/pytest -n auto

check: dev
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache

format: dev
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

bench: dev
	$(RUN)/python -m benchmarks

clean:
	rm -rf .venv .uv dist .mypy_cache .pytest_cache .ruff_cache
