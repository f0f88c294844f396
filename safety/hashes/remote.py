"""Hash lists that live elsewhere: a service's pages, and Meta's Hasher-Matcher-Actioner (HMA).

``sync`` fetches a list page by page into the folder that the guards follow. HMA hands out no
hashes, it answers look-ups; so it is asked for every picture, beside the lists that are here, and
a look-up that fails is a failure of the guard: nothing leaves that it did not look at.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chopmark.errors import GuardFailed, HashListError
from chopmark.kit.fingerprint import MATCH_DISTANCE, MIN_QUALITY
from chopmark.safety.hashes.bank import LISTED, HashEntry, HashMatch
from chopmark.safety.hashes.formats import Format, import_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.safety.hashes.formats import Imported
    from chopmark.safety.hashes.perceptual import PictureHashes

__all__ = ["HmaBank", "fetch", "pages"]

_MAX_PAGE: Final[int] = 64 * 1024**2
_MAX_PAGES: Final[int] = 100_000


def fetch(url: str, *, headers: Mapping[str, str], timeout_s: float) -> bytes:
    """Return what a URL answers; redirects to another host are refused with the credentials.

    Raises:
        HashListError: No such scheme, no answer, an error status, or more than 64 MiB.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise HashListError(f"{url[:100]!r} is no http address", hint="https://host/path")
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - scheme is checked
    opener = urllib.request.build_opener(_NoRedirect())
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            data: bytes = answer.read(_MAX_PAGE + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # an error status is an open answer too
        raise HashListError(
            f"{parts.hostname} did not answer as it should: {error}",
            hint="the address, the credentials and the network are what can be wrong",
        ) from error
    if len(data) > _MAX_PAGE:
        raise HashListError(
            f"{parts.hostname} sent more than {_MAX_PAGE} bytes", hint="a smaller page"
        )
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: a redirect would carry the credentials somewhere else."""


def pages(
    url: str,
    *,
    kind: Format | None = None,
    category: str | None = None,
    headers: Mapping[str, str] | None = None,
    token_parameter: str = "nextPageToken",  # noqa: S107 - the name of a parameter
    timeout_s: float = 60.0,
) -> Iterator[Imported]:
    """Yield a list's pages until it says that there is no next.

    Args:
        url: The first page.
        kind: Its format; told from the content when it is not given.
        category: As for :func:`chopmark.safety.hashes.formats.import_list`.
        headers: Credentials.
        token_parameter: Where the next page is a token and no address (StopNCII), the parameter
            that carries it.
        timeout_s: For each page.

    Raises:
        HashListError: A page cannot be had or read, a next page lies on another host, or the pages
            go round in a circle.
    """
    seen: set[str] = set()
    here = url
    host = urllib.parse.urlsplit(url).netloc
    while here not in seen and len(seen) < _MAX_PAGES:
        seen.add(here)
        data = fetch(here, headers=headers or {}, timeout_s=timeout_s)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page"
            file.write_bytes(data)
            page = import_list(file, kind=kind, category=category)
        yield page
        if not page.next_page:
            return
        here = _next(here, page.next_page, token_parameter)
        if urllib.parse.urlsplit(here).netloc != host:
            raise HashListError(
                f"the next page lies on another host ({here[:100]})",
                hint="credentials are for one host; fetch it yourself and import the file",
            )
    raise HashListError("the list's pages go round in a circle", hint=f"at {here[:100]}")


def _next(here: str, following: str, parameter: str) -> str:
    if following.startswith(("http://", "https://", "/", "?")):
        return urllib.parse.urljoin(here, following)
    parts = urllib.parse.urlsplit(here)
    query = [pair for pair in urllib.parse.parse_qsl(parts.query) if pair[0] != parameter]
    query.append((parameter, following))
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))


@dataclass(frozen=True, kw_only=True)
class HmaBank:
    """A Hasher-Matcher-Actioner service, asked as if it were a list of ours.

    Which of its banks match, and what share of the time, is switched there.

    Attributes:
        url: Where it lives, ``https://hma.example``.
        key: Its API key, sent as a bearer token; empty for none.
        timeout_s: For each of up to four look-ups of a picture.
        category: Category of its matches; banks named for CSAM are ``sexual/minors``.
    """

    url: str
    key: str = ""
    timeout_s: float = 5.0
    category: str = LISTED
    name: str = "hma"

    def match(self, hashes: PictureHashes) -> tuple[HashMatch, ...]:
        """Ask about the picture, its mirror image and half turn: what people do to evade a list.

        Raises:
            GuardFailed: No answer, or none that can be read.
        """
        if hashes.quality < MIN_QUALITY:
            return ()
        found: dict[str, HashMatch] = {}
        for turned in np.unique(hashes.pdq[:4], axis=0):
            for match in self._ask(turned.tobytes().hex()):
                found.setdefault(match.entry.reference, match)
        return tuple(found[name] for name in sorted(found))

    def _ask(self, signal: str) -> Iterator[HashMatch]:
        query = urllib.parse.urlencode({"signal_type": "pdq", "signal": signal})
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        address = f"{self.url.rstrip('/')}/m/lookup?{query}"
        try:
            data = fetch(address, headers=headers, timeout_s=self.timeout_s)
        except HashListError as error:
            # Not the caller's fault, as a wrong list would be: the service may be back in a moment.
            raise GuardFailed(f"HMA: {error.message}", hint=error.hint) from error
        try:
            answer = json.loads(data)
            for bank, matches in answer.items():
                for one in matches:
                    distance = int(one["distance"])
                    if distance <= MATCH_DISTANCE:
                        yield self._match(str(bank), str(one["bank_content_id"]), signal, distance)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise GuardFailed(
                f"the answer of HMA cannot be read: {type(error).__name__}",
                hint="is this the address of its matching service (/m/lookup)?",
            ) from error

    def _match(self, bank: str, content: str, signal: str, distance: int) -> HashMatch:
        minors = any(word in bank.lower() for word in ("csam", "ncmec", "csea"))
        entry = HashEntry(
            kind="pdq",
            value=signal,
            category="sexual/minors" if minors else self.category,
            reference=f"{bank}:{content}",
        )
        return HashMatch(bank=f"{self.name}:{bank}", entry=entry, distance=distance)
