# Every target does all its own set-up in .venv. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out

.PHONY: help demo docs test exhaustive check fuzz clean
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

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

# What the tests of the page need of npm: axe-core and puppeteer-core. They are skipped, with the reason, where it cannot be had.
PAGE  := pipeline/formats/html
NODES := $(PAGE)/node_modules/.installed
$(NODES): $(PAGE)/package.json $(PAGE)/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --prefix $(PAGE) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && touch $@ || echo "npm ci failed: tests that need it are skipped"; \
	fi

$(VENV)/.dev: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.core ## the main job on sample_data/, into out/
	$(BIN)/meetsplit models fetch embedded
	$(BIN)/meetsplit run sample_data/standup.m4a -o $(OUT) --offline
	@echo
	@echo "Open $(OUT)/standup.html in a browser, read $(OUT)/standup.txt, play sample_data/standup.m4a with $(OUT)/standup.srt or .vtt, and listen to one person alone: $(OUT)/standup/SPEAKER_00.wav"

# The variable silences an advertisement of mkdocs-material, which is no warning about our pages.
docs: $(VENV)/.docs ## the documentation as a site, into build/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/site/index.html"

# Hundreds of processes import the same modules: Python may keep them compiled.
unexport PYTHONDONTWRITEBYTECODE

# One process more than there are processors: many tests wait for other processes.
PROCESSES ?= $(shell expr `getconf _NPROCESSORS_ONLN` + 1)
SUITE := $(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses 8 --dist worksteal

test: $(VENV)/.test $(NODES) ## the whole suite
	$(SUITE)

exhaustive: $(VENV)/.test ## the tests that `make test` leaves out because they take long
	$(BIN)/python -m pytest -m exhaustive

# MINUTES of inputs on every processor, then faults at every operation on the disk, then KILLS; findings are kept in findings/.
fuzz: $(VENV)/.test ## hours of hostile inputs, power losses and kills (MINUTES=60 KILLS=200)
	PYTHONPATH=tests $(BIN)/python -m fuzz --minutes $(MINUTES) --kills $(KILLS)

check: $(VENV)/.dev $(NODES) ## ruff, mypy --strict (of a person's notebook, too) and the suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .typing && ln -sfn .. .typing/meetsplit
	cd .typing && PYTHONPATH=. ../$(BIN)/lint-imports ../pyproject.toml
	MYPYPATH=.typing $(BIN)/mypy $(addprefix -p meetsplit.,cli console pipeline speakers scoring jobs training benchmarks)
	$(BIN)/python tests/test_notebook.py .typing/notebook.py
	MYPYPATH=.typing $(BIN)/mypy --strict .typing/notebook.py
	$(SUITE)

clean: ## remove what the targets above made, but not .venv
	rm -rf $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .typing findings

# Benchmarks write their tables into docs/benchmarks.md; all of them take hours. SPEECH (a folder for each person), CROWD (single speakers, eight or
# more) and MEETINGS are folders of real voices, if there are any; SEXES is a CSV about SPEECH, SEPFORMER the result of train-separation.
# A small round of everything, to see that it works: make bench OVERLAPS=0.3 LASTS=1 LENGTHS=1 PLAIN=1 LONG=1 RECORDINGS=3 WAITING=100
SETS    ?= build/meetings
MINUTES ?= 60
KILLS   ?= 200
SPEECH  ?=
SEXES   ?=
SEPFORMER ?=
CROWD   ?=
MEETINGS ?=
OVERLAPS ?= 0 0.1 0.2 0.3 0.4
LASTS   ?= 2.5
LENGTHS ?= 1 10 60
PLAIN   ?= 1 5
LONG    ?= 20 60
LONGEST ?= 120
ENROL   ?= 20 40 80
BUDGETS ?= 0 15 30 60 120
RECORDINGS ?= 50
WAITING ?= 10000
BENCH   := $(BIN)/python -m meetsplit.benchmarks

.PHONY: bench train-mini-whisper train-separation train-segmentation train-refiner train-voices
bench: $(VENV)/.test ## every table of docs/benchmarks.md and docs/subtitles.md (needs flite; SPEECH=… MEETINGS=… for real voices)
	$(BIN)/meetsplit models fetch embedded
	for overlap in $(OVERLAPS); do \
	  $(BIN)/python -m meetsplit.training.simulate --flite --speakers 3 --overlap $$overlap --minutes $(LASTS) --warmup 8 --seed 1 -o $(SETS)/3spk || exit 1; \
	done
	for overlap in 0 0.1 0.2; do \
	  test -z "$(SPEECH)" || $(BIN)/python -m meetsplit.training.simulate --data $(SPEECH) --speakers 2 --overlap $$overlap --minutes 1.5 --warmup 8 --seed 1 -o $(SETS)/real-2spk || exit 1; \
	done
	test -z "$(SPEECH)" || for overlap in 0 0.2; do for seed in 1 2 3; do \
	  $(BIN)/python -m meetsplit.training.simulate --data $(SPEECH) --speakers 2 --overlap $$overlap --minutes 1.5 --warmup 8 --reuse --seed $$seed -o $(SETS)/two-$$overlap || exit 1; \
	done; done
	test -z "$(SPEECH)" || for people in 3 4 5 6; do for seed in 1 2 3; do \
	  if [ $$(( (people + seed) % 2 )) = 0 ]; then room=--room; else room=; fi; \
	  $(BIN)/python -m meetsplit.training.simulate --data $(SPEECH) --speakers $$people --overlap 0.1 --minutes 1.5 $$room --seed 1$$seed --name $$people-people-$$seed$$room -o $(SETS)/many$$room || exit 1; \
	done; done
	$(BENCH).meetings $(SETS)/3spk --what ablation --work build/work --write
	$(BENCH).meetings $(SETS)/3spk/3spk-30ov-1.wav --what gating --work build/work --write
	$(BENCH).meetings $(SETS)/3spk $(if $(SPEECH),$(SETS)/real-2spk) sample_data/standup.m4a --what leave-one-out --stem-words --work build/work --write
	$(BENCH).gates $(SETS)/3spk $(if $(SPEECH),$(SETS)/real-2spk) --write
	$(BENCH).meetings sample_data/standup.m4a --what quality --section sample --work build/work --write
	$(BENCH).speed --minutes $(LENGTHS) --write
	$(BENCH).speed --minutes $(PLAIN) --plain --section plain --write
	$(BENCH).speed --recording $(SETS)/3spk/3spk-30ov-1.wav --minutes $(LONG) --no-words --section memory --write
	test -z "$(CROWD)" || $(BIN)/python -m meetsplit.training.simulate --data $(CROWD) --speakers 8 --overlap 0.05 --minutes 12 --warmup 12 --reuse --seed 1 -o $(SETS)/8spk
	test -z "$(CROWD)" || $(BENCH).speed --recording $(SETS)/8spk/8spk-05ov-1.wav --minutes $(LONGEST) --no-words --section eight --write
	$(BENCH).words --what word-times --write
	$(BENCH).words --what ghosts --write
	$(BENCH).jobs --recordings $(RECORDINGS) --jobs $(WAITING) --write
	$(BENCH).startup --write
	test -z "$$(command -v chromium)" || $(BENCH).page --browser "$$(command -v chromium)" --write
	truth="--rttm sample_data/standup.rttm --script sample_data/standup.ctm --separate off"; \
	$(BIN)/meetsplit run sample_data/standup.m4a $$truth --no-tracks --quiet -o build/subtitles/true -f json && \
	$(BIN)/meetsplit run sample_data/standup.m4a --offline --no-tracks --quiet -o build/subtitles/found -f json && \
	$(BENCH).subtitles build/subtitles/true/standup.json build/subtitles/found/standup.json --write
	test -z "$(SPEECH)" || $(BENCH).separation --data $(SPEECH) --enrol $(ENROL) $(if $(SEXES),--sexes "$(SEXES)") --pairs 5 --each 2 --budgets $(BUDGETS) --combinations 60 $(if $(SEPFORMER),--sepformer "$(SEPFORMER)") --write
	test -z "$(SPEECH)" || $(BENCH).meetings $(SETS)/real-2spk --what quality --work build/work --write
	$(BENCH).diarization $(if $(MEETINGS),--data $(MEETINGS)) --call $(if $(SPEECH),$(addprefix --data $(SETS)/,two-0 two-0.2 many many--room)) --data $(SETS)/3spk --write

train-mini-whisper: $(VENV)/.test ## the miniature Whisper of the suite (needs flite and espeak-ng; MINUTES=60; goes on where it stopped)
	$(BIN)/python -m meetsplit.training.mini_whisper.train --minutes $(MINUTES)

# Recipes go on where they stopped; docs/training.md leads through them. ABOUT tells the card what the data is, and its licence.
DATA    ?=
DEV     ?=
ABOUT   ?=
TOLD    := --minutes $(MINUTES) $(if $(DATA),--data "$(DATA)") $(if $(ABOUT),--about "$(ABOUT)")

train-separation: $(VENV)/.test ## our own SepFormer (DATA=folder of single speakers; MINUTES=60)
	$(BIN)/python -m meetsplit.training.separation $(TOLD)

train-refiner: $(VENV)/.test ## what the adapted separator starts from (DATA=folder of single speakers; MINUTES=30)
	$(BIN)/python -m meetsplit.training.refiner $(TOLD)

train-voices: $(VENV)/.test ## the voice model by which embedded counts and tells people apart (DATA=folder of single speakers, many people)
	$(BIN)/python -m meetsplit.training.plda $(if $(DATA),--data "$(DATA)") $(if $(ABOUT),--about "$(ABOUT)")

train-segmentation: $(VENV)/.test ## fine-tune embedded's segmentation (DATA= and DEV=recordings with RTTM; SPEECH=single speakers to simulate with)
	$(BIN)/python -m meetsplit.training.segmentation $(TOLD) $(if $(DEV),--dev "$(DEV)") $(if $(SPEECH),--speech "$(SPEECH)")
