"""What the DNS server of the loopback world knows, and the answers that follow from it; no I/O."""

from collections.abc import Callable, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT

#: Given a name (lower-case, no final dot) and a type, its values in the form that ``Zone.add`` takes;
#: ``[]``: the name has none of this type; None: there is no such name.
Fallback = Callable[[str, str], Sequence[str] | None]

TTL = 300
MAX_CHAIN = 16
_Records = dict[RdataType, dns.rrset.RRset]


class Zone:
    """Records by name; names not in it go to ``fallback``, else they do not exist.

    ``negative_ttl`` is how many seconds the news that there is no name or record may be kept.
    """

    def __init__(self, fallback: Fallback | None = None, negative_ttl: int = 60) -> None:
        self.fallback = fallback
        self._names: dict[dns.name.Name, _Records] = {}
        # RFC 2308 5: the lesser of the SOA record's own TTL and its last field
        soa = _rdata(RdataType.SOA, f"ns.test hostmaster.test 1 3600 600 86400 {negative_ttl}")
        self._soa = dns.rrset.from_rdata_list(dns.name.root, negative_ttl, [soa])

    def add(self, name: str, rdtype: str, *values: str, ttl: int = TTL) -> None:
        """Add records to a name. Raises dns.exception.DNSException for values that do not parse.

        Values are in zone file form with absolute names: ``add("a.test", "MX", "10 mx1.a.test")``, a null
        MX (RFC 7505) is ``"0 ."``; those of TXT are the bare text, of any length.
        """
        owner, type_ = dns.name.from_text(name), dns.rdatatype.from_text(rdtype)
        records = self._names.setdefault(owner, {})
        rdatas = [*records.get(type_, ()), *(_rdata(type_, value) for value in values)]
        records[type_] = dns.rrset.from_rdata_list(owner, ttl, rdatas)

    def remove(self, name: str) -> None:
        """Forget a name; one that is not there is no error."""
        self._names.pop(dns.name.from_text(name), None)

    def respond(self, query: dns.message.Message, payload: int) -> dns.message.Message:
        """The answer to a query with one question, as a resolver gives it: aliases are followed.

        ``payload`` is the size of UDP message that the server says it takes.
        """
        response = dns.message.make_response(query, recursion_available=True, our_payload=payload)
        response.flags |= dns.flags.AA
        name, rdtype = query.question[0].name, query.question[0].rdtype
        for _ in range(MAX_CHAIN):
            records = self._records(name, rdtype)
            if records is None:
                response.set_rcode(dns.rcode.NXDOMAIN)  # RFC 6604 3: speaks of the last name of the chain
                break
            if rdtype in records:
                response.answer.append(records[rdtype])
                return response
            if RdataType.CNAME not in records:
                break
            response.answer.append(records[RdataType.CNAME])
            name = records[RdataType.CNAME][0].target
        response.authority.append(self._soa)
        return response

    def _records(self, name: dns.name.Name, rdtype: RdataType) -> _Records | None:
        known = self._names.get(name)
        if known is not None or self.fallback is None:
            return known
        values = self.fallback(name_text(name), dns.rdatatype.to_text(rdtype))
        if not values:
            return None if values is None else {}
        return {rdtype: dns.rrset.from_rdata_list(name, TTL, [_rdata(rdtype, value) for value in values])}


def name_text(name: dns.name.Name) -> str:
    """A name as people write it: lower-case, no final dot."""
    return name.to_text(omit_final_dot=True).lower()


def _rdata(rdtype: RdataType, value: str) -> dns.rdata.Rdata:
    if rdtype == RdataType.TXT:
        text = value.encode()  # RFC 1035 3.3.14: strings of at most 255 bytes
        return TXT(IN, rdtype, [text[i : i + 255] for i in range(0, len(text), 255)] or [b""])
    return dns.rdata.from_text(IN, rdtype, value, origin=dns.name.root, relativize=False)
