"""Sessions of signed-in people: a random token in a cookie, of which only a digest is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark.errors import CsrfMismatch

if TYPE_CHECKING:
    from chopmark.tenancy.people import Person

__all__ = ["NewSession", "Session", "csrf_token", "new_token", "token_digest"]

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is good now.

    Attributes:
        person: Who; their roles of this moment, not of when they signed in.
        csrf: Goes with every form and every unsafe request of this session.
        expires_at: Seconds since 1970; at the latest then it ends.
    """

    person: Person
    csrf: str
    expires_at: float

    def check_csrf(self, sent: str | None) -> None:
        """Let a request pass that holds this session's token.

        A page of another site can make a browser send the cookie, not read the token.

        Raises:
            CsrfMismatch: It does not.
        """
        if sent is None or not hmac.compare_digest(sent.encode(), self.csrf.encode()):
            raise CsrfMismatch(
                "the request does not carry this session's CSRF token",
                hint="load the page again; programs send it as x-csrf-token",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session that just began, with the tokens that its cookies hold.

    Attributes:
        token: Of the session.
        session: Who, and until when.
        device: By which the browser is known to have signed in as this person before; empty for
            somebody whom an OIDC provider vouches for.
    """

    token: str
    session: Session
    device: str = ""

    def __repr__(self) -> str:
        """Return a form without the secret: values end up in logs."""
        return f"NewSession(session={self.session!r})"


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes | None:
    """Return what is kept of a token, or ``None`` when the text cannot be one.

    As with API keys, there is nothing to guess in 256 random bits. Looking a digest up in an
    index tells nothing by its time: who does not know the token cannot choose its digest.
    """
    if not _TOKEN.fullmatch(token):
        return None
    return hashlib.sha256(token.encode()).digest()


def csrf_token(token: str) -> str:
    """Return the CSRF token that is bound to a session's token and does not give it away."""
    mac = hmac.new(token.encode(), b"chopmark csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
