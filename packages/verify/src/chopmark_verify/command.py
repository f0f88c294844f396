"""The command line of ``chopmark-verify``: what each argument is, and what is said of it.

JSON is what ``chopmark verify --json``, ``chopmark verify --check-report --json`` and ``chopmark
audit verify --json`` print, and so are the exit codes: 0 it holds, 1 error, 2 usage, 4 it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ChopmarkError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

_NOT_AUTHENTIC: Final = 4
_UNKNOWN_KEY: Final = (
    "the signature is by the key inside it: compare that with the key that the log publishes, or"
    " give that one with --public-key"
)
_MOST: Final = 2**20  # bytes; no receipt is larger


def run(arguments: Sequence[str]) -> int:
    """Look at each thing that is named; return the exit code."""
    given = _parser().parse_args(arguments)
    code = 0
    if given.check_report is not None:
        if len(given.what) > 1:
            return _fail(InvalidRequest("a report is of one file"), as_json=given.json)
        given.what = [given.check_report, *given.what]
    elif not given.what:
        _parser().error("name a file, a folder or an address to look at")
    things = given.what[:1] if given.check_report is not None else given.what
    for what in things:
        try:
            code = max(code, 0 if _look(what, given) else _NOT_AUTHENTIC)
        except (ChopmarkError, OSError) as error:
            if not given.json:
                print(what, file=sys.stderr)
            code = _fail(error, as_json=given.json)
            continue
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chopmark-verify",
        description="Check a picture, a receipt, a signed report, or a published log.",
        epilog="exit codes: 0 it holds, 1 error, 2 usage, 4 it does not hold",
    )
    add = parser.add_argument
    add("what", nargs="*", help="pictures, receipts, reports, a log's folder or https address")
    add("--check-report", metavar="REPORT", help="check this report, and the FILE against it")
    add("--public-key", help="the log's key from a source that you trust, or its file")
    add("--witness", action="append", default=[], help="key of a witness who must have cosigned")
    add("--kept", action="append", default=[], help="a checkpoint or receipt that you kept")
    add("--anchors", type=Path, help="folder with manifest/*.pem and tsa/*.pem: whom you trust")
    add("--mark-key", type=Path, help="file with a watermark key; needs chopmark-verify[pixels]")
    add("--manifest", type=Path, help="a manifest (.c2pa) that came beside the picture")
    add("--public", action="store_true", help="leave out whatever may name a person")
    add("--json", action="store_true", help="one JSON object for each")
    add("--version", action="version", version=f"chopmark-verify {_version()}")
    return parser


def _version() -> str:
    from chopmark import __version__

    return __version__


def _look(what: str, given: argparse.Namespace) -> bool:
    """Look at one thing and say what was found; tell whether it holds."""
    if what.startswith(("https://", "http://")) or Path(what).is_dir():
        return _log(what, given)
    data = Path(what).read_bytes()
    kind = "report" if given.check_report is not None else _kind(data)
    if kind == "receipt":
        return _receipt(data, given)
    if kind == "report":
        return _report(what, data, given)
    from chopmark_verify.picture import look_at

    return look_at(what, data, given)


def _kind(data: bytes) -> str:
    """Tell a receipt and a report from a picture, by what they say of themselves."""
    if len(data) <= _MOST and data.lstrip()[:1] == b"{":
        try:
            members = json.loads(data)
        except (ValueError, RecursionError):
            return "picture"
        if isinstance(members, dict) and "format" in members and "leaf" in members:
            return "receipt"
        return "report" if isinstance(members, dict) and "protected" in members else "picture"
    # The compact form of a JWS begins with the base64 of `{"`.
    return "report" if data.startswith(b"eyJ") and data.count(b".") == 2 else "picture"


def _receipt(data: bytes, given: argparse.Namespace) -> bool:
    from chopmark.audit.proof.receipt import Receipt

    receipt = Receipt.from_json(data)
    problems = receipt.verify(_key(given.public_key), witnesses=given.witness)
    if given.json:
        told: dict[str, Any] = {"ok": not problems, "problems": [str(one) for one in problems]}
        _emit(told if problems else {**told, "record": receipt.record.to_dict()})
        return not problems
    if problems:
        print("NOT OK", *(f"  {one}" for one in problems), sep="\n")
        return False
    record = receipt.record
    print(f"ok  {record.index:>7}  {record.time}  {record.record_id}  {record.kind}")
    if given.public_key is None:
        print(f"    {_UNKNOWN_KEY}")
    return True


def _report(what: str, data: bytes, given: argparse.Namespace) -> bool:
    from chopmark.pipeline.signed_report import check_report

    of = given.what[1] if given.check_report is not None and len(given.what) > 1 else None
    picture = None if of is None else Path(of).read_bytes()
    checked = check_report(data, data=picture, public_key=_key(given.public_key))
    if given.json:
        _emit(checked.to_dict())
        return checked.ok
    claims = checked.signed.claims
    print(f"{what}: {'ok' if checked.ok else 'NOT OK'}  by {claims.get('iss')}")
    for problem in checked.problems:
        print(f"  {problem}")
    if checked.of_file is not None:
        print(f"  the file is {'' if checked.of_file else 'NOT '}the one that it speaks of")
    found = claims.get("report")
    if isinstance(found, dict):
        print(f"  on {claims.get('time')}: {found.get('summary')}")
    if not checked.known_key:
        print(f"  {_UNKNOWN_KEY}")
    return checked.ok


def _log(what: str, given: argparse.Namespace) -> bool:
    from chopmark.audit.proof.published import walk_published
    from chopmark_verify.log_files import reader

    key = _key(given.public_key)
    if key is None:
        raise InvalidRequest(
            "a log is checked with its key", hint="give it with --public-key, as text or as a file"
        )
    report = walk_published(reader(what), public_key=key, kept=map(_note, given.kept))
    if given.json:
        _emit(report.to_dict())
        return report.ok
    print(f"{'ok' if report.ok else 'NOT OK'}  {report.size} entries  root {report.root}")
    for problem in report.problems:
        print(f"  {problem}")
    for place in report.not_looked_at:
        print(f"  not looked at: {place}")
    return report.ok


def _note(path: str) -> str:
    """Return the checkpoint in a file: the note itself, or a receipt that was made against it."""
    from chopmark.audit.proof.receipt import Receipt

    data = Path(path).read_bytes()
    if not data.lstrip().startswith(b"{"):
        return data.decode("utf-8", "replace")
    return Receipt.from_json(data).checkpoint


def _key(given: str | None) -> str | None:
    """Return verifier keys that were given as text or as a file."""
    if given is None or ("+" in given and not Path(given).is_file()):
        return given
    return Path(given).read_text("utf-8", "replace").strip()


def _emit(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _fail(error: ChopmarkError | OSError, *, as_json: bool) -> int:
    code, hint = ("invalid_request", "")
    message = (
        f"{error.filename}: {os.strerror(error.errno or 0)}"
        if isinstance(error, OSError)
        else error.message
    )
    if isinstance(error, ChopmarkError):
        code, hint = error.code, error.hint
    if as_json:
        _emit({"error": {"code": code, "message": message, "hint": hint}})
    else:
        print(f"error ({code}): {message}", file=sys.stderr)
        if hint:
            print(f"  hint: {hint}", file=sys.stderr)
    return 1
