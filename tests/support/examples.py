"""The examples of the documentation, and a shell that runs them.

A block is run unless a comment on the line before it says why not::

    <!-- not run: needs a container runtime -->
    <!-- run by tests/functional/test_backup.py -->

In a shell block ``chopmark`` is this process, so that models are loaded once; all else is real.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ROOT", "Block", "Shell", "blocks_of", "commands_of", "pages"]

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>(?:not run: |run by )[^\n]+?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_CLIENT = """\
#!{python} -SE
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
asked = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
link.sendall(json.dumps(asked).encode() + b"\\n")
answer = json.loads(link.makefile().readline())
sys.stdout.write(answer["out"])
sys.stderr.write(answer["err"])
sys.exit(answer["code"])
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Path under the repository.
        line: Of its fence, counted from 1.
        language: As the fence names it; empty where it names none.
        text: Without the indentation of the fence.
        mark: Why it is not run, or which test runs it; empty: it is run.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str


def pages() -> list[str]:
    """Return the pages of the documentation, as paths under the repository."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(path.relative_to(ROOT)) for path in found]


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text[: found.start("indent")].count("\n") + 1,
            language=found["language"],
            text=textwrap.dedent(found["text"]),
            mark=found["mark"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def commands_of(block: Block) -> str:
    """Return what of a block a shell runs, with the exit codes that its comments promise."""
    lines = block.text.replace("\\\n", "\\\f").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return "\n".join(map(_expecting, lines)).replace("\\\f", "\\\n")


def _expecting(line: str) -> str:
    command, mark, comment = line.partition("  # ")
    code = re.search(r"exit code (\d)", comment)
    wanted = int(code[1]) if code else 3 if re.search(r"\brefused\b", comment) else 0
    if not mark or not wanted or "||" in command:
        return line
    return f"{command} || test $? -eq {wanted}"


class Shell:
    """Runs scripts in a folder, with a ``chopmark`` that is answered by this process."""

    def __init__(self, folder: Path, main: Callable[[], object], **environment: str) -> None:
        self._folder, self._main = folder, main
        self._place = tempfile.TemporaryDirectory()
        address = f"{self._place.name}/socket"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(address)
        self._socket.listen()
        self._socket.settimeout(0.02)
        client = Path(self._place.name) / "chopmark"
        client.write_text(_CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o700)
        path = f"{self._place.name}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {"PATH": path, "HOME": str(folder), **environment}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._place.cleanup()

    def run(self, script: str) -> str:
        """Run a script to its end and return what it printed, on either stream.

        What it exports is there for the next one.

        Raises:
            AssertionError: A command failed; the message has what was printed.
        """
        kept = f"{self._place.name}/exported"
        Path(kept).touch()
        with tempfile.TemporaryFile("w+") as printed:
            process = subprocess.Popen(
                ["bash", "-eu", "-o", "pipefail", "-c", f". {kept}\n{script}\nexport -p > {kept}"],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            while process.poll() is None:
                with contextlib.suppress(TimeoutError):
                    link, _ = self._socket.accept()
                    self._answer(link)
            printed.seek(0)
            text = printed.read()
        assert process.returncode == 0, f"{script}\nexit code {process.returncode}:\n{text}"
        return text

    def _answer(self, link: socket.socket) -> None:
        with link, link.makefile("rw") as stream:
            asked = json.loads(stream.readline())
            stream.write(json.dumps(self._call(**asked)) + "\n")

    def _call(
        self, arguments: list[str], folder: str, environment: Mapping[str, str]
    ) -> dict[str, Any]:
        out, err, code = io.StringIO(), io.StringIO(), 0
        kept, here, argv = dict(os.environ), Path.cwd(), sys.argv
        try:
            os.chdir(folder)
            ours = {k: v for k, v in environment.items() if k.startswith(("CHOPMARK_", "HOME"))}
            os.environ.update(ours)
            sys.argv = ["chopmark", *arguments]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self._main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        finally:
            sys.argv = argv
            os.chdir(here)
            os.environ.clear()
            os.environ.update(kept)
        return {"code": code, "out": out.getvalue(), "err": err.getvalue()}
