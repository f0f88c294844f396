"""Which names a detector that is open to all may show: organisations, and not persons.

California SB 942 keeps personal provenance data out of a public detector; an organisation is no
person, and a reader who is told only "somebody" learns nothing. A certificate that nobody vouches
for says what it likes, so a name is left out where it may well be a person's.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chopmark.provenance._examine import Examined
    from chopmark.provenance.report import Ingredient

__all__ = ["without_persons"]

# Words by which a name says that it is a company's, an association's or a public body's.
_LEGAL_FORMS: Final = frozenset(
    "ab ag agency as association asbl bhd bv ca cert co company consortium coop corp corporation "
    "foundation gmbh group holding holdings inc incorporated institute kg kk limited llc llp ltd "
    "ministry nv oy oyj plc press pte pty sa sarl se spa srl university ug".split()
)
_WORD: Final = re.compile(r"[^\W_]+")


def without_persons(examined: Examined) -> Examined:
    """Leave out what may name a person: common names, titles of inputs, addresses."""
    credential = examined.credential
    shown = credential.state == "trusted" or _is_organisation(credential.issuer, credential.name)
    return dataclasses.replace(
        examined,
        manifest=dataclasses.replace(examined.manifest, address=None),
        credential=dataclasses.replace(
            credential, name=None, issuer=credential.issuer if shown else None
        ),
        ingredients=tuple(_input(one) for one in examined.ingredients),
        identity=dataclasses.replace(examined.identity, name=None, issuer=None),
    )


def _input(one: Ingredient) -> Ingredient:
    shown = one.credential == "trusted" or bool(_words(one.signer) & _LEGAL_FORMS)
    return dataclasses.replace(one, title=None, signer=one.signer if shown else None)


def _is_organisation(issuer: str | None, name: str | None) -> bool:
    """Whether an organisation's name is not simply the signer's own, as a photographer's is."""
    words = _words(issuer)
    return bool(words & _LEGAL_FORMS) or bool(name and _words(name) - words)


def _words(text: str | None) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text or ""))
