# Two commands do everything: `make demo` and `make test`. `make env` alone makes .venv.
.PHONY: demo test env docs lint clean release

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# pip's own files say what was installed; this stamp says from which lists.
STAMP := .venv/.chopmark

demo: env
	@$(BIN)/python scripts/demo.py

test: env
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt hatch_build.py scripts/env.sh
	@PYTHON=$(PYTHON) sh scripts/env.sh
	@touch $(STAMP)

# The documentation site, into out/site: fails on a broken link, needs no network once the extra is there.
docs: env
	@$(BIN)/python -c 'import material' 2>/dev/null || $(BIN)/python -m pip install -qq -c constraints.txt -e '.[docs]'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "out/site/index.html"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

# Wheels, sdists, SBOM and their digests, signed: make release RELEASE_KEY=release.pem
release: env
	@test -n "$(RELEASE_KEY)" || { echo "make release RELEASE_KEY=FILE.pem (made if missing)"; exit 2; }
	$(BIN)/python scripts/release.py build --key "$(RELEASE_KEY)"

clean:
	rm -rf .venv demo
