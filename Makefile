# Every target does all its own set-up in .venv. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out

.PHONY: help demo test check clean
.DEFAULT_GOAL := help

help: ## show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | expand -t 22

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[offline]'
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core ## the main job on sample_data/, into out/
	$(BIN)/meetsplit models fetch embedded
	$(BIN)/meetsplit run sample_data/standup.m4a -o $(OUT) --offline
	@echo
	@echo "Read $(OUT)/standup.txt, play sample_data/standup.m4a with $(OUT)/standup.srt or .vtt, and listen to one person alone: $(OUT)/standup/SPEAKER_00.wav"

test: $(VENV)/.test ## the whole suite
	$(BIN)/python -m pytest

check: $(VENV)/.dev ## ruff, mypy --strict and the suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .typing && ln -sfn .. .typing/meetsplit
	MYPYPATH=.typing $(BIN)/mypy $(addprefix -p meetsplit.,cli console pipeline speakers scoring jobs training benchmarks)
	$(BIN)/python -m pytest

clean: ## remove what the targets above made, but not .venv
	rm -rf $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .typing
