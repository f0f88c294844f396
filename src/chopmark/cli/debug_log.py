"""``chopmark --debug``: what the rooms write to ``logging`` goes to stderr, with every cause.

Prompts are shown, since whoever sits here wrote them; keys are not.
"""

from __future__ import annotations

import logging
import re
from typing import Final

import typer

from chopmark.kit.redaction import redact

__all__ = ["is_shown", "show", "stop"]

_ROOT: Final = logging.getLogger("chopmark")
_FILE_LINE: Final = re.compile(r"(?m)^( +File \".*)$")


class _Stderr(logging.Handler):
    """One line a record, and below it the chain of causes with their tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; each time to what stderr is then."""
        # A path looks much like a key, and the lines that name files are ours and Python's.
        parts = _FILE_LINE.split(self.format(record))
        text = "".join(part if i % 2 else redact(part) for i, part in enumerate(parts))
        typer.echo(text, err=True)


_HANDLER: Final = _Stderr()
_HANDLER.setFormatter(
    logging.Formatter("{asctime} {levelname:<7} {name}: {message}", "%H:%M:%S", style="{")
)


def show() -> None:
    """Begin; once is enough."""
    _ROOT.addHandler(_HANDLER)
    _ROOT.setLevel(logging.DEBUG)


def stop(*, level: int = logging.NOTSET) -> None:
    """End, and leave this level to whoever writes the lines from now on."""
    _ROOT.removeHandler(_HANDLER)
    _ROOT.setLevel(level)


def is_shown() -> bool:
    """Tell whether the lines are shown here."""
    return _HANDLER in _ROOT.handlers
