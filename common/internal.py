"""Which addresses are not the public internet's: nobody outside may have us connect to them. No I/O."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# RFC 4291 2.5.5.2 and RFC 6052 2.1: an IPv4 address is meant, in the last 32 bits.
_MEANS_IPV4 = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
#: RFC 4291 2.4: all that is global unicast.
_GLOBAL_UNICAST = ip_network("2000::/3")
#: Ways into IPv4 that nobody needs any more (Teredo, 6to4), and what clouds tell their machines at public addresses.
_REFUSED = tuple(map(ip_network, ("2001::/32", "2002::/16", "168.63.129.16/32", "192.0.0.0/24")))


def is_internal(text: str, *, unknown: bool = True) -> bool:
    """Whether an address is not on the public internet; ``unknown`` is said of what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return unknown
    if isinstance(address, IPv6Address):
        if any(address in network for network in _MEANS_IPV4):
            address = IPv4Address(int(address) & 0xFFFF_FFFF)
        elif address not in _GLOBAL_UNICAST:
            return True
    # RFC 6890: what is not globally reachable
    return not address.is_global or address.is_multicast or any(address in network for network in _REFUSED)
