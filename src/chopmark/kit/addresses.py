"""Which network addresses are public: what a stranger may have us visit, and what not."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_public_address"]

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1


def is_public_address(text: str) -> bool:
    """Tell whether an IP address is one of the open internet, in whatever form it is written.

    >>> is_public_address("127.0.0.1"), is_public_address("::ffff:10.0.0.1")
    (False, False)
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return all(one.is_global and not one.is_multicast for one in _meant(address))


def _meant(address: _Address) -> Iterator[_Address]:
    """Yield an address, and the IPv4 address that it stands for where a gateway translates it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour):
            if inner is not None:
                yield inner
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
