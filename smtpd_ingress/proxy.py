"""The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): for whom a proxy connects; without I/O."""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from smtpd_ingress.context import client_address

V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V1 = b"PROXY "
#: The longest line of version 1 with its CRLF.
_MAX_V1 = 107
_V2_HEAD = struct.Struct("!12sBBH")
#: What TLVs are for is less; more is nothing that a proxy sends.
_MAX_V2 = 4096


class BadProxyError(ValueError):
    """What comes first is no PROXY header; the message says why."""


class Proxied(NamedTuple):
    """What the header says."""

    client: str | None
    """The client's address; None: the proxy itself connects, or does not know for whom."""
    length: int
    """Bytes of the header; the client's own begin after them."""


def parse(data: bytes) -> Proxied | None:
    """The header at the beginning of what came in; None: more of it is needed. Raises BadProxyError."""
    if data.startswith(_V1[: len(data)]):
        return _version1(data)
    if data.startswith(V2[: len(data)]):
        return _version2(data)
    raise BadProxyError("no PROXY header")


def _version1(data: bytes) -> Proxied | None:
    end = data.find(b"\r\n", 0, _MAX_V1)
    if end < 0:
        if len(data) >= _MAX_V1:
            raise BadProxyError("line too long")
        return None
    try:
        _, family, *rest = data[:end].decode("ascii").split(" ")
        if family == "UNKNOWN":  # the rest of the line is to be ignored
            return Proxied(None, end + 2)
        source, destination, *ports = rest
        address = {"TCP4": IPv4Address, "TCP6": IPv6Address}[family]
        address(source), address(destination)
        if len(ports) != 2 or not all(port.isdigit() and int(port) < 65536 for port in ports):
            raise ValueError(ports)
        return Proxied(client_address((source, 0)), end + 2)
    except (ValueError, KeyError):
        raise BadProxyError(f"bad line {data[:end]!r}") from None


def _version2(data: bytes) -> Proxied | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, command, family, length = _V2_HEAD.unpack_from(data)
    if command not in (0x20, 0x21) or length > _MAX_V2:
        raise BadProxyError(f"version and command {command:#x}, {length} bytes")
    if len(data) < (end := _V2_HEAD.size + length):
        return None
    addresses = data[_V2_HEAD.size : end]
    # 0x20 is LOCAL; of families and transports we know TCP over IPv4 and IPv6, and must take others as unknown
    if command == 0x20 or family not in (0x11, 0x21):
        return Proxied(None, end)
    size, address = (4, IPv4Address) if family == 0x11 else (16, IPv6Address)
    if length < 2 * size + 4:  # two addresses, two ports; then TLVs, which say nothing that we need
        raise BadProxyError(f"{length} bytes hold no addresses")
    return Proxied(client_address((str(address(addresses[:size])), 0)), end)
