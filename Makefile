# make app          the dashboard at http://127.0.0.1:8501   (PORT=…, ADDRESS=0.0.0.0 to be reached from other machines)
# make test         every test, doctests and a real browser included
# make screenshots  pictures of every page in build/screenshots
# A fresh machine needs Python 3.11 or newer; all else is installed here, into .venv. PYTHON=… chooses the interpreter.

PORT ?= 8501
ADDRESS ?= 127.0.0.1
PYTHON ?=
PYTEST_ARGS ?=

# Idle threads of torch sleep instead of spinning: with several visitors at once spinning makes everything many times slower.
export OMP_WAIT_POLICY ?= PASSIVE

VENV := .venv
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check
APP := $(VENV)/.app-installed
TESTS := $(VENV)/.tests-installed
BROWSER := $(VENV)/.browser-installed
# torch for GPUs brings a triton of its own; beside torch for CPUs this one interprets the kernels in the tests.
TRITON := triton==3.9.0

.PHONY: app test browser screenshots

app: $(APP)
	$(VENV)/bin/python -m streamlit run app.py --server.port $(PORT) --server.address $(ADDRESS)

test: $(TESTS) browser
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

screenshots: $(TESTS) browser
	$(VENV)/bin/python tests/browser/screenshots.py build/screenshots

$(VENV)/bin/python:
	@for python in $(PYTHON) $(if $(PYTHON),,python3 python3.13 python3.12 python3.11); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "$(or $(PYTHON),python3) is not Python 3.11 or newer: install one, or name it, as in make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi; \
	echo "$$found -m venv $(VENV)"; \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); echo "$$found cannot make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }

# The loops of fp8core are compiled once, here, so that no visitor waits for it.
$(APP): requirements.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt
	$(VENV)/bin/python -m fp8core compile
	@touch $@

# One call with every pin, so that no package of the tests can move one of the app.
$(TESTS): requirements.txt requirements-test.txt | $(VENV)/bin/python
	$(PIP) -r requirements-test.txt
	@$(VENV)/bin/python -c 'import triton' 2>/dev/null || [ "$$(uname)" != Linux ] || $(PIP) --no-deps $(TRITON)
	$(VENV)/bin/python -m fp8core compile
	@touch $(APP) $@

# A Chromium is already there, or the system's package manager brings it, or Playwright does.
browser: $(TESTS)
	@if [ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || [ $(BROWSER) -nt $(TESTS) ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update && apt-get install -y chromium fonts-noto-cjk && command -v chromium >/dev/null; then exit 0; fi; \
	$(VENV)/bin/python -m playwright install chromium && touch $(BROWSER)
