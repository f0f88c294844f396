"""What the C2PA status codes say of a manifest and of its signer.

Source: C2PA 2.4, section 15.2.2 (standard status codes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chopmark.provenance.report import CredentialState

__all__ = ["BINDINGS", "MALFORMED", "credential_state", "is_failure", "own_problems"]

_CREDENTIAL: Final[dict[str, CredentialState]] = {
    "signingCredential.revoked": "revoked",
    "signingCredential.ocsp.revoked": "revoked",
    "signingCredential.invalid": "refused",
    "signingCredential.expired": "expired",
    "claimSignature.outsideValidity": "expired",
    "signingCredential.untrusted": "untrusted",
}
BINDINGS: Final = frozenset(
    f"assertion.{kind}Hash.{answer}"
    for kind in ("data", "bmff", "boxes")
    for answer in ("match", "mismatch")
)
_SEVERITY: Final[tuple[CredentialState, ...]] = ("revoked", "refused", "expired", "untrusted")
# Judged on an axis of their own, or no failure of the file: who signed, when, other identities.
_ELSEWHERE: Final = ("signingCredential.", "timeStamp.", "timeOfSigning.", "cawg.", "ingredient.")
MALFORMED: Final = (
    ".malformed",
    ".cbor.invalid",
    ".json.invalid",
    "claim.missing",
    "claim.multiple",
    "manifest.compressed.invalid",
    "manifest.inaccessible",
)

# Last parts of the codes that say that all is well, or that something was passed over.
_NO_FAILURE: Final = (
    ".validated", ".trusted", ".match", ".accessible", ".notRevoked", ".insideValidity",
    ".skipped", ".deprecated", ".unknownProvenance", ".unreferenced",
    ".additionalExclusionsPresent", "ocsp.inaccessible",
)  # fmt: skip


def is_failure(code: str) -> bool:
    """Whether a code of the older, unsorted form says that something is wrong.

    One that is not known counts as a failure.
    """
    return not code.endswith(_NO_FAILURE)


def own_problems(failures: list[str]) -> list[str]:
    """Return the failures of the file itself, without those of signer, time and inputs."""
    return [
        code
        for code in failures
        if not code.startswith(_ELSEWHERE) and code != "claimSignature.outsideValidity"
    ]


def credential_state(failures: list[str]) -> CredentialState | None:
    """Return the gravest thing said against the signer, or None."""
    found = {_CREDENTIAL[code] for code in failures if code in _CREDENTIAL}
    for state in _SEVERITY:
        if state in found:
            return state
    return None
