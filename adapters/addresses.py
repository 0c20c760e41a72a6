# SPDX-License-Identifier: Apache-2.0
"""Which addresses a call to another site may go to.

Refused: what is no host of anybody's network (link-local with its metadata services, multicast, unspecified, reserved), also when it
hides inside an IPv6 form. Private and loopback addresses are allowed: sites that stand in one network are what this product is for,
and every connection must prove by TLS that it reached the peer.
``ipaddress`` alone is no such filter; see the table in the tests.
"""

import ipaddress
import socket
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from waybill.errors import TrustError, UnavailableError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FORBIDDEN: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "168.63.129.16/32",
        "::/128", "fe80::/10", "fec0::/10", "ff00::/8", "100::/64", "2001::/32", "2001:db8::/32", "fd00:ec2::254/128",
    )
)  # fmt: skip
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an https URL points. ``target``: path and query, exactly as written."""

    host: str
    port: int
    target: str = ""

    @property
    def origin(self) -> "Endpoint":
        """Host and port alone."""
        return replace(self, target="")


def parse_https(url: str) -> Endpoint:
    """The parts of ``url``.

    Raises:
        TrustError: endpoint.forbidden, when it is not https, names a user, or holds what has no place in a request line.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise TrustError("endpoint.forbidden", "That is no URL") from error
    if parts.scheme != "https" or not host or parts.username is not None or not url.isascii() or any(letter <= " " for letter in url):
        raise TrustError("endpoint.forbidden", "Only https URLs without a user are called", expected="https", found=parts.scheme[:20])
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(host=host, port=port or 443, target=target)


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of ``host``, all of them allowed; call one of these and not the name again, which may answer differently.

    Raises:
        TrustError: endpoint.forbidden, when any address is forbidden.
        UnavailableError: peer.unavailable, when the name has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnavailableError("peer.unavailable", "The name of the other site is not known", found=host) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(address)
    return addresses


def check_address(text: str) -> str:
    """``text`` itself, when it is an address that may be called. Raises TrustError endpoint.forbidden."""
    try:
        address: _Address = ipaddress.ip_address(text)
    except ValueError as error:
        raise TrustError("endpoint.forbidden", "That is no address", found=text[:80]) from error
    if any(candidate in network for candidate in (address, *_embedded(address)) for network in _FORBIDDEN):
        raise TrustError("endpoint.forbidden", "That address may not be called", found=text)
    return text


def _embedded(address: _Address) -> tuple[_Address, ...]:
    """The IPv4 addresses that an IPv6 form carries inside: mapped, 6to4, NAT64, compatible."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    inside: list[_Address] = [found for found in (address.ipv4_mapped, address.sixtofour) if found is not None]
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        inside.append(low)
    return tuple(inside)
