#!/bin/sh
# Makes .venv: torch first, at its pinned version, so that no open range pulls another build of it.
set -eu
cd "$(dirname "$0")/.."
say() { printf '  %s\n' "$*" >&2; }

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  say "Chopmark needs Python 3.11 or newer; '$PYTHON' is not. Set PYTHON=/path/to/python3.11"
  exit 1
fi
[ -x .venv/bin/python ] || { say "making .venv"; "$PYTHON" -m venv .venv; }
# -qq: errors only; the lines of `say` are the progress.
install() { .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt "$@"; }

say "installing torch (1 of 3)"
install torch==2.13.0
say "installing chopmark, what it needs and the tools of its tests (2 of 3)"
install --editable '.[dev]'
say "installing invisible-watermark (3 of 3)"
# Its declared dependencies (opencv with a GUI, torch once more) are not needed by what we use.
install --no-deps invisible-watermark==0.2.0 PyWavelets==1.9.0
# The index has a package of the name `safety`; tests/functional/test_packaging.py puts it beside ours.
[ -e .venv/wheels ] || .venv/bin/python -m pip download -qq --disable-pip-version-check \
  --no-deps --dest .venv/wheels safety==3.7.0
say "environment ready in .venv"
