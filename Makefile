# Every target sets up what it needs: a virtual environment of its own, pinned by constraints.txt; nothing global but
# what `make system` says.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: quickstart test quality system bench soak clean

quickstart: $(INSTALLED)  ## quiz_lora whole, on the embedded Hub: quizzes, LoRAs of three arms, graded and published
	OMP_NUM_THREADS=$$(nproc) $(BIN)/python -m tamis.localhub run -- $(BIN)/accelerate launch --config_file accelerate_configs/cpu.yaml \
	    recipes/quiz_lora.py --config recipes/quiz_lora.tiny.yaml

test: $(INSTALLED)  ## the whole suite; tests that lack Debian packages skip, and say so (TESTS="--no-skips" forbids it)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(TESTS)

quality: $(INSTALLED)  ## what CI checks of style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(INSTALLED)  ## ratios against named peers, one script a question; see benchmarks/README.md
	$(BIN)/python benchmarks/run_all.py

soak: $(INSTALLED)  ## forty kills at random moments; the log goes to benchmarks/soak/
	$(BIN)/python tests/soak.py

system:  ## Debian packages that some tests want: Chromium for the pages, WordNet for WUPS and METEOR
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium wordnet-base fonts-dejavu-core

$(INSTALLED): setup.cfg constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	# torch first and by its exact version: a range would take the newest build, with gigabytes of CUDA, on any machine.
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) .localhub outputs .pytest_cache .ruff_cache src/*.egg-info
