"""A signing service on loopback HTTP, for tests: twenty lines around a key."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.http import Asked, Loopback, Reply


class Service(Loopback):
    """A signing service on loopback, as small as the docs say that one may be.

    Attributes:
        status: What it answers with.
        body: Sent instead of a signature, if there is any.
        hangs: Answers nothing.
        where: Its address.
    """

    def __init__(self, key: Any) -> None:
        self.status, self.body = 200, b""
        self.hangs = False
        self._key = key
        super().__init__()
        self.where = f"{self.url}/sign"

    @property
    def callers(self) -> list[tuple[str, str | None]]:
        """The path of each request and who it says it is from."""
        return [(asked.path, asked.headers.get("authorization")) for asked in self.asked]

    def reply(self, asked: Asked) -> Reply:
        if self.hangs:
            return self.hang()
        signature = self.body or self._key.sign(asked.body, ec.ECDSA(hashes.SHA256()))
        return Reply(self.status, signature, {"location": "http://127.0.0.1:1/elsewhere"})
