"""Whom we believe: our own credentials, and lists of other people's roots.

A root makes a signature *trusted*, nothing more; whether a picture is *ours* is decided by our own
certificates and never by a name in one, since anybody can write any name into a certificate.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from chopmark.errors import ConfigurationError, TrustListRefused
from chopmark.provenance._native import Anchors
from chopmark.provenance._profile import parse_chain
from chopmark.provenance.trust_lists import parse_trust_list

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.provenance.credential import Credential

__all__ = ["AnchorList", "TrustAnchors", "load_anchors"]

_PACKAGED: Final[tuple[tuple[str, Literal["manifest", "tsa"], str], ...]] = (
    ("c2pa-trust-list", "manifest", "2026-07-24"),
    ("c2pa-tsa-trust-list", "tsa", "2026-07-08"),
)

_DATE: Final = re.compile(r"^#\s*date:\s*(\d{4}-\d\d-\d\d)\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class AnchorList:
    """A set of roots.

    Attributes:
        name: What `verify` calls it, such as ``C2PA trust list``.
        pem: The certificates, one after another.
        kind: ``own``: what chains to it was made here; ``manifest``: a claim signer somebody
            vouches for; ``tsa``: a time-stamping authority; ``identity``: somebody who
            vouches for persons and organisations (CAWG).
        date: Of which day the list is, ``YYYY-MM-DD``; empty where it has none.
        sequence: The number of a published list, which only grows; None where it has none.
        next_update: RFC 3339: until when its publisher means to have renewed it; likewise empty.
        serials: For ``own``: the only signing certificates meant, by serial number. Empty means
            all, which is right for a CA that issues to us alone (a development CA) and wrong for a
            commercial one, whose other customers are not us.
    """

    name: str
    pem: str = field(repr=False)
    kind: Literal["own", "manifest", "tsa", "identity"]
    date: str = ""
    serials: frozenset[int] = frozenset()
    sequence: int | None = None
    next_update: str = ""

    def is_stale(self, now: dt.datetime | None = None) -> bool:
        """Whether the list should have been renewed by now."""
        if not self.next_update:
            return False
        return dt.datetime.fromisoformat(self.next_update) < (now or dt.datetime.now(dt.UTC))


@dataclass(frozen=True, kw_only=True)
class TrustAnchors:
    """All that a verification trusts."""

    lists: tuple[AnchorList, ...] = ()
    home: Path | None = field(default=None, repr=False)
    cert: Path | None = field(default=None, repr=False)
    folder: Path | None = field(default=None, repr=False)

    def fresh(self) -> TrustAnchors:
        """Return these anchors as their files are now: a rotated key needs no restart."""
        if self.home is None:
            return self
        return load_anchors(self.home, cert=self.cert, lists=self.folder)

    def native(self, *, identities: bool = False) -> tuple[Anchors, ...]:
        """Return the sets as the native library takes them; the first that fits is named.

        Roots of identities only where they are asked for: the library would let them vouch for
        claim signers too.
        """
        rank = {"own": 0, "manifest": 1, "tsa": 2, "identity": 3}
        native: dict[str, Literal["manifest", "tsa", "cawg"]] = {"tsa": "tsa", "identity": "cawg"}
        return tuple(
            Anchors(name=f"{one.kind}:{index}", pem=one.pem, kind=native.get(one.kind, "manifest"))
            for index, one in sorted(enumerate(self.lists), key=lambda pair: rank[pair[1].kind])
            if identities or one.kind != "identity"
        )

    def find(self, native_name: str | None) -> AnchorList | None:
        """Return the list that the native library named, if it is one of these."""
        _, _, index = (native_name or "").partition(":")
        if not index.isdecimal() or int(index) >= len(self.lists):
            return None
        return self.lists[int(index)]

    @classmethod
    def of(cls, credential: Credential) -> TrustAnchors:
        """Return anchors that know this credential, and nothing else, as our own."""
        return cls(lists=(_own(credential.chain_pem, credential.own_anchor),))


def load_anchors(
    home: Path, *, cert: Path | None = None, lists: Path | None = None
) -> TrustAnchors:
    """Return our own credentials of now and before, C2PA's lists, and those of the deployer.

    A list is a file of PEM certificates in a folder, ``home/anchors`` where no other is named:
    ``manifest/NAME.pem`` for claim signers, ``tsa/NAME.pem`` for time-stamping authorities,
    ``identity/NAME.pem`` for those who vouch for identities (CAWG); or one as it is published,
    ``NAME.json`` (LoTE, ETSI TS 119 602). One with the name of a list
    that comes with Chopmark replaces it; an empty one switches it off. A line
    ``# date: 2026-01-01`` in it says of which day it is.

    Args:
        home: Where Chopmark keeps its state.
        cert: Our own certificate chain, where it stands elsewhere.
        lists: Folder of the deployer's lists.

    Raises:
        ConfigurationError: A file cannot be read, or holds no certificate.
    """
    known: list[AnchorList] = []
    folder = lists or home / "anchors"
    try:
        if lists is not None and not lists.is_dir():
            raise ConfigurationError(
                f"the folder of trust anchors {lists} is not there",
                hint="CHOPMARK_TRUST_ANCHORS is a folder with `manifest` and `tsa` in it",
            )
        keys = home / "keys"
        known += [_own("", path.read_text()) for path in sorted(keys.glob("root*.pem"))]
        known += [_own(path.read_text(), "") for path in sorted((keys / "own").glob("*.pem"))]
        if cert is not None:
            known.append(_own(cert.read_text(), ""))
        kinds: tuple[Literal["manifest", "tsa", "identity"], ...] = ("manifest", "tsa", "identity")
        for kind in kinds:
            found = {one.name: one for one in _packaged() if one.kind == kind}
            for path in sorted((folder / kind).glob("*.json")):
                found[path.stem] = _published(path, kind)
            for path in sorted((folder / kind).glob("*.pem")):
                if path.with_suffix(".json").is_file():
                    continue
                pem = path.read_text()
                found.pop(path.stem, None)
                if pem.strip():
                    parse_chain(pem.encode(), source=str(path))
                    dated = _DATE.search(pem)
                    found[path.stem] = AnchorList(
                        name=path.stem, pem=pem, kind=kind, date=dated[1] if dated else ""
                    )
            known += found.values()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the trust anchors cannot be read: {error}") from error
    return TrustAnchors(lists=tuple(known), home=home, cert=cert, folder=lists)


def _published(path: Path, kind: Literal["manifest", "tsa", "identity"]) -> AnchorList:
    try:
        listed = parse_trust_list(path.read_bytes())
    except TrustListRefused as error:
        raise ConfigurationError(f"{path}: {error.message}", hint=error.hint) from error
    return AnchorList(
        name=path.stem,
        pem=listed.pem,
        kind=kind,
        date=listed.issued[:10],
        sequence=listed.sequence,
        next_update=listed.next_update,
    )


@functools.cache
def _packaged() -> tuple[AnchorList, ...]:
    """Return the lists that come with Chopmark; ``anchors/README.md`` tells where they are from."""
    from pathlib import Path

    folder = Path(__file__).parent / "anchors"
    return tuple(
        AnchorList(name=name, pem=(folder / f"{name}.pem").read_text(), kind=kind, date=date)
        for name, kind, date in _PACKAGED
    )


def _own(chain_pem: str, root_pem: str) -> AnchorList:
    if root_pem:
        return AnchorList(name="own development CA", pem=root_pem, kind="own")
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = parse_chain(chain_pem.encode(), source="the credential")
    top = chain[-1].public_bytes(Encoding.PEM).decode()
    return AnchorList(
        name="own credential", pem=top, kind="own", serials=frozenset({chain[0].serial_number})
    )
