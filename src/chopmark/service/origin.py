"""Where a request comes from: another site's page, or a proxy that did not say so before.

Forgery is judged as Go's ``http.CrossOriginProtection`` judges it: every browser of today says with
``Sec-Fetch-Site`` where a request comes from, older ones send ``Origin``, and what sends neither is
no browser.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chopmark.errors import AccessError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = ["check_origin", "is_forwarded", "own_host"]

# What proxies and networks of them add to what they pass on, besides `x-forwarded-*`.
_BY_PROXIES: Final = frozenset(
    {
        "cdn-loop", "cf-connecting-ip", "cf-ray", "client-ip", "do-connecting-ip",
        "fastly-client-ip", "fly-client-ip", "forwarded", "forwarded-for", "proxy-connection",
        "surrogate-capability", "true-client-ip", "via", "x-amz-cf-id", "x-amzn-trace-id",
        "x-appengine-user-ip", "x-arr-log-id", "x-azure-clientip", "x-azure-ref", "x-client-ip",
        "x-cluster-client-ip", "x-coming-from", "x-envoy-external-address",
        "x-envoy-internal", "x-forwarded", "x-host", "x-original-forwarded-for",
        "x-original-host", "x-original-url", "x-proxyuser-ip", "x-real-ip", "x-remote-addr",
        "x-remote-ip", "x-rewrite-url",
    }
)  # fmt: skip
_PREFIXES: Final = ("x-forwarded-", "x-envoy-", "x-proxy-")
# One of a machine's own names and a port, and nothing around them (RFC 9110, section 7.2).
_HOST: Final = re.compile(
    r"(?:localhost|(?P<four>127(?:\.[0-9]{1,3}){3})|\[(?P<six>[0-9a-fA-F:.]{2,45})\])"
    r"(?::[0-9]{1,5})?",
    re.IGNORECASE,
)


def check_origin(headers: Headers, *, own: str = "") -> None:
    """Refuse what another site made the browser send.

    Args:
        headers: Of a request that changes something.
        own: The address under which people reach this server, where it is known.

    Raises:
        AccessError: It comes from another origin.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in {"same-origin", "none"}:
        return
    if site is None and origin is None:
        return
    if site is None and origin is not None:
        ours = {headers.get("host"), urlsplit(own).netloc if own else None}
        if urlsplit(origin).netloc in ours - {None, ""}:
            return
    raise AccessError(
        "this was sent from another site's page",
        hint="open the page here and send it from there",
    )


def is_forwarded(headers: Headers) -> bool:
    """Tell whether a request came through a proxy that says so, in whichever way."""
    return any(
        name in _BY_PROXIES or name.startswith(_PREFIXES) for name in (n.lower() for n in headers)
    )


def own_host(headers: Headers) -> bool:
    """Tell whether a request calls this machine by its own name, once and in so many words."""
    sent = headers.getlist("host")
    match = _HOST.fullmatch(sent[0]) if len(sent) == 1 else None
    if match is None:
        return False
    address = match["four"] or match["six"]
    if address is None:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
