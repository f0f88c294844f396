"""Write ``requirements.lock``: the pins of ``constraints.txt``, each with its files' SHA-256.

``pip install --require-hashes --no-deps -r requirements.lock`` then takes those files and no other,
whatever the index answers. Run it after a change of constraints.txt; it asks the index that pip
would ask (PEP 691).
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
# Whoever sets it decides what is asked, as for pip.
INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
JSON_FORM = "application/vnd.pypi.simple.v1+json"
HEAD = """\
# The pins of constraints.txt with the SHA-256 of every file that the index has of them; made by
# scripts/lock.py. `pip install --require-hashes --no-deps -r requirements.lock` takes no others.
"""


def pins() -> list[tuple[str, str]]:
    """Return names and versions, in the order of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("#")[0].strip().split("==") for line in lines]
    return [(name, version) for name, version in (each for each in found if len(each) == 2)]


def hashes(pin: tuple[str, str]) -> list[str]:
    """Return the digests of a version's files, sorted; none where the index does not know it."""
    name, version = pin
    normal = re.sub(r"[-_.]+", "-", name).lower()
    request = urllib.request.Request(f"{INDEX}/{normal}/", headers={"accept": JSON_FORM})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        files = json.load(answer)["files"]
    stem = re.compile(rf"[^-]+(?:-[^-]+)*?-{re.escape(version)}(?:-|\.tar\.gz$|\.zip$)")
    wanted = [each for each in files if stem.match(each["filename"]) and not each.get("yanked")]
    return sorted({each["hashes"]["sha256"] for each in wanted})


def main() -> None:
    """Write the file, or say which pins have no hash."""
    every = pins()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(hashes, every))
    missing = [name for (name, _), digests in zip(every, found, strict=True) if not digests]
    if missing:
        sys.exit(f"no file with a hash: {', '.join(missing)}")
    lines = [HEAD]
    for (name, version), digests in zip(every, found, strict=True):
        lines += [f"{name}=={version} \\", *(f"    --hash=sha256:{one} \\" for one in digests)]
        lines[-1] = lines[-1].removesuffix(" \\")
    LOCK.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(every)} pins in {LOCK.name}")


if __name__ == "__main__":
    main()
