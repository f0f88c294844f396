"""Every secret that Chopmark makes by itself, and a process that makes them.

Started by test_files.py: ``full`` makes each on a disk that takes no byte, ``race`` makes them at
the same moment as others do.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chopmark.api.desk.appeals import ticket_key
from chopmark.audit import AuditLog
from chopmark.audit.log.paths import Paths
from chopmark.audit.proof.log_keys import LogKeys
from chopmark.errors import ChopmarkError
from chopmark.kit.files import random_secret
from chopmark.provenance import DevelopmentCredentialWarning, load_credential
from chopmark.provenance.watermark import load_mark_keys


def _any_secret(home: Path) -> bytes:
    return random_secret(home / "any.key", length=32)


def _log_keys(home: Path) -> bytes:
    AuditLog.open(home).close()
    return Paths(home).kek.read_bytes()


def _signing_key(home: Path) -> bytes:
    _ = LogKeys(Paths(home), "chopmark.local/log").signer
    return Paths(home).signing_key.read_bytes()


def _mark_keys(home: Path) -> bytes:
    return b"".join(key.secret for key in load_mark_keys(home).all)


def _credential(home: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DevelopmentCredentialWarning)
        load_credential(home)
    return (home / "keys" / "signer.pem").read_bytes()


#: For each secret: what makes it and gives its bytes, its file, and the code of its failures.
SECRETS: Final[dict[str, tuple[Callable[[Path], bytes], str, set[str]]]] = {
    "any": (_any_secret, "any.key", {"configuration_error"}),
    "tickets": (ticket_key, "tenancy/tickets.key", {"configuration_error"}),
    "log kek": (_log_keys, "audit/vault/kek", {"log_unavailable"}),
    "log signer": (
        _signing_key,
        "audit/signer/checkpoint.pem",
        {"log_unavailable", "configuration_error"},
    ),
    "watermark": (_mark_keys, "keys/watermark/*.key", {"configuration_error"}),
    "credential": (
        _credential,
        "keys/signer.pem",
        {"configuration_error", "credential_refused"},
    ),
}


def _on_a_full_disk(make: Callable[[Path], object], home: Path) -> str:
    """Do something where files may be made and none may grow; return the error's code."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        make(home)
    except ChopmarkError as error:
        return error.code
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return "made"


def full(root: Path) -> dict[str, str]:
    """Make each secret for the first time, on a full disk; give the codes of the errors."""
    return {name: _on_a_full_disk(secret[0], root / name) for name, secret in SECRETS.items()}


def race(root: Path) -> dict[str, str]:
    """Make each secret five times over, at the same moment as others do; give them in hex."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return {
        f"{name} {turn}": secret[0](root / f"{name} {turn}").hex()
        for name, secret in SECRETS.items()
        for turn in range(5)
    }


if __name__ == "__main__":
    answer = {"full": full, "race": race}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(answer) + "\n")
