"""Build a release and sign it: wheels and sdists of both distributions, the SBOM, their digests.

    python scripts/release.py build --key release.pem -o dist
    python scripts/release.py check dist --public-key release.pub

`build` makes the key where it is missing (Ed25519, PKCS#8 PEM, mode 0600) and writes its public
half beside the files. What is signed is ``SHA256SUMS``, which has a line for every file; openssl
checks it as well: ``openssl pkeyutl -verify -pubin -inkey release.pub -rawin -in SHA256SUMS
-sigfile SHA256SUMS.sig``. `check` needs the key from a source that you trust, not from the folder.

Every archive is the same, byte for byte, wherever and whenever it is built from the same commit:
hatchling writes no times of its own, and ``SOURCE_DATE_EPOCH`` is the commit's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from chopmark.bill import bill_of_materials
from chopmark.kit.files import write_private

ROOT = Path(__file__).parents[1]
PARTS = (ROOT, ROOT / "packages" / "verify")
SUMS, SIGNATURE, PUBLIC, BILL = "SHA256SUMS", "SHA256SUMS.sig", "release.pub", "sbom.cdx.json"


def epoch() -> str:
    """Return the time of the commit, in seconds; what the environment says wins."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else "1580601600"


def build(folder: Path, key_file: Path, *, isolated: bool) -> None:
    """Build everything into an empty folder, and sign the list of it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: an old file would be signed with the new ones")
    key = signing_key(key_file)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch()}
    alone = [] if isolated else ["--no-isolation"]
    for part in PARTS:
        command = [sys.executable, "-m", "build", *alone, "--outdir", str(folder.resolve()), "."]
        subprocess.run(command, cwd=part, env=environment, check=True)
    bill = json.dumps(bill_of_materials(), indent=2)
    (folder / BILL).write_text(f"{bill}\n", encoding="utf-8")
    sign(folder, key)
    print(f"{folder}: {len(listed(folder))} files, signed by {fingerprint(key.public_key())}")


def signing_key(file: Path) -> Ed25519PrivateKey:
    """Return the release key; a new one where the file is missing."""
    if not file.exists():
        made = Ed25519PrivateKey.generate()
        data = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(file.absolute(), data)
        print(f"{file}: a new release key; keep it where nobody else is", file=sys.stderr)
    if file.stat().st_mode & 0o077:
        sys.exit(f"others may read {file}: chmod 600 {file}")
    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        sys.exit(f"{file} is no Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key, in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the list of all files, its signature, and the public key."""
    text = "".join(f"{digest(file)}  {file.name}\n" for file in listed(folder)).encode()
    (folder / SUMS).write_bytes(text)
    (folder / SIGNATURE).write_bytes(key.sign(text))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / PUBLIC).write_bytes(public)


def listed(folder: Path) -> list[Path]:
    """Return the files that are signed, by name."""
    own = {SUMS, SIGNATURE, PUBLIC}
    return sorted(file for file in folder.iterdir() if file.is_file() and file.name not in own)


def digest(file: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check(folder: Path, public: Path) -> list[str]:
    """Return what is wrong with a release; empty where every file is what the key signed."""
    key = load_pem_public_key(public.read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        return [f"{public} is no Ed25519 key"]
    try:
        text = (folder / SUMS).read_bytes()
        key.verify((folder / SIGNATURE).read_bytes(), text)
    except OSError as error:
        return [f"{error.filename} is missing"]
    except InvalidSignature:
        return [f"{SUMS} is not signed by {public}"]
    lines = [line.split("  ", 1) for line in text.decode().splitlines() if "  " in line]
    signed = {name: stated for stated, name in lines}
    there = {file.name: digest(file) for file in listed(folder)}
    wrong = [f"{name} is missing" for name in signed if name not in there]
    wrong += [f"{name} is not in {SUMS}" for name in there if name not in signed]
    return wrong + [
        f"{name} is not the file that was signed"
        for name, found in there.items()
        if name in signed and signed[name] != found
    ]


def versions() -> set[str]:
    """Return the versions that the two distributions say; it must be one."""
    texts = [(part / "pyproject.toml").read_text(encoding="utf-8") for part in PARTS]
    return {
        match[1] for text in texts if (match := re.search(r'^version = "(.+)"', text, re.MULTILINE))
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build or check a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build")
    make.add_argument("--key", type=Path, required=True, help="Ed25519 key, PEM; made if missing")
    make.add_argument("-o", "--output", type=Path, default=ROOT / "dist")
    make.add_argument("--no-isolation", action="store_true", help="build with what is installed")
    look = commands.add_parser("check")
    look.add_argument("folder", type=Path)
    look.add_argument("--public-key", type=Path, required=True)
    given = parser.parse_args()
    if len(versions()) != 1:
        sys.exit(f"the distributions say different versions: {', '.join(sorted(versions()))}")
    if given.command == "build":
        build(given.output, given.key, isolated=not given.no_isolation)
        return
    wrong = check(given.folder, given.public_key)
    print("\n".join(wrong) if wrong else f"{given.folder}: every file is what was signed")
    sys.exit(4 if wrong else 0)


if __name__ == "__main__":
    main()
