# Every target makes and fills .venv by itself when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo tour test check format size tree clean

demo: $(READY)  ## the main job on the built-in base and example data
	$(BIN)/burnish demo --dir demo

tour: $(READY)  ## the whole wheel: serve, traffic, alarm, people, round, canary; longer than the demo
	$(BIN)/python -m examples.tour --dir tour

test: $(READY)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY)  ## what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

format: $(READY)  ## rewrite files in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

size: $(READY)  ## lines per file and the longest functions
	$(BIN)/python -m tests.sizes

tree: $(READY)  ## the README's list of files, from their docstrings
	$(BIN)/python -m tests.tree

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,dev]'
	touch $(READY)

clean:
	rm -rf .venv demo tour
