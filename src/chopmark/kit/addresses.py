"""Which network addresses are public: what a stranger may have us visit, and what not."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_public_address"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # IANA's only one, RFC 4291 section 2.4
# Their last 32 bits are an IPv4 address: translation (RFC 6052, 8215, 2765), IPv4-compatible
# (RFC 4291, section 2.5.5.1) and mapped.
_WITH_IPV4: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96", "::ffff:0:0/96"),
    )
)
# Routed, and no one machine's: 6to4 relays (RFC 7526), AMT and AS112 (RFC 7450, 7534, 7535), what
# the protocols of the IETF use (RFC 2928), 6to4 itself, documentation (RFC 9637).
_SET_ASIDE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24", "192.88.99.0/24", "192.52.193.0/24", "192.31.196.0/24",
            "192.175.48.0/24", "2001::/23", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
        ),
    )
)  # fmt: skip


def is_public_address(text: str) -> bool:
    """Tell whether an IP address is one machine of the open internet, however it is written.

    By a list of what is, not of what is not: everything that is set aside tomorrow is out today.

    >>> is_public_address("127.0.0.1"), is_public_address("::ffff:10.0.0.1")
    (False, False)
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(
        one.is_global
        and not one.is_multicast
        and not one.is_reserved
        and not any(one in network for network in _SET_ASIDE if network.version == one.version)
        and (one.version == 4 or one in _GLOBAL_UNICAST)
        for one in _meant(address)
    )


def _meant(address: _Address) -> Iterator[_Address]:
    """Yield what an address stands for: itself, or the IPv4 addresses that gateways make of it."""
    if not isinstance(address, ipaddress.IPv6Address):
        yield address
        return
    if address not in _NAT64:  # which is none of its own: only what it is translated into counts
        yield address
    teredo = address.teredo or ()
    for inner in (address.ipv4_mapped, address.sixtofour, *teredo):
        if inner is not None:
            yield inner
    if any(address in network for network in _WITH_IPV4):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
