"""Asking DNS: answers cached by their TTL, one question in flight per name and type."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.MX import MX

from common import metrics
from common.counting import count
from common.section import split_host_port

QUESTION_TIMEOUT, TOTAL_TIMEOUT = 5.0, 10.0
#: With so many questions open there is less patience with each (seconds): who answers at all has answered by then.
MANY_OPEN, SHORT_TIMEOUT = 1000, 3.0
#: Seconds that answers are kept at least, that they are at most, and that "no" is.
MIN_TTL, MAX_TTL, MAX_NEGATIVE_TTL = 10, 3600, 300
#: RFC 9520 3.2: a failure is remembered for at least 1 and at most 300 seconds.
FAILURE_TTL = 10
MAX_ANSWERS = 20_000
#: RFC 6891: the size of UDP answers that crosses networks whole; longer ones come by TCP.
UDP_PAYLOAD = 1232

Type = Literal["MX", "A", "AAAA"]


class Outcome(Enum):
    """What came of a question."""

    FOUND = "found"
    NO_NAME = "no such name"
    NO_DATA = "no such record"
    TEMPORARY = "temporary failure"


class Record(NamedTuple):
    """An MX host in lower case without final dot with its preference, or an address with 0."""

    preference: int
    value: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome and how long it holds."""

    outcome: Outcome
    records: tuple[Record, ...] = ()
    expires: float = 0
    """On the resolver's clock."""
    text: str = ""
    """What went wrong."""


class Resolver:
    """A stub resolver on the configured nameservers, ``ip:port`` or ``ip``; none: the system's."""

    def __init__(self, nameservers: list[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._dns = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._dns.nameservers = [
                dns.nameserver.Do53Nameserver(*split_host_port(server, 53)) for server in nameservers
            ]
        self._dns.timeout = QUESTION_TIMEOUT
        self._dns.use_edns(0, 0, UDP_PAYLOAD)
        self._clock = clock
        self._answers: dict[tuple[str, Type], Answer] = {}
        self._asking: dict[tuple[str, Type], asyncio.Task[Answer]] = {}

    async def lookup(self, name: str, rdtype: Type) -> Answer:
        """The records of a name (A-labels). Never raises for what DNS says or fails to say."""
        key = (name, rdtype)
        answer = self._answers.get(key)
        if answer and answer.expires > self._clock():
            return answer
        if not (task := self._asking.get(key)):
            task = self._asking[key] = asyncio.create_task(self._ask(name, rdtype))
            task.add_done_callback(lambda _: self._asking.pop(key))
        return await asyncio.shield(task)  # one asker that gives up leaves the others theirs

    async def _ask(self, name: str, rdtype: Type) -> Answer:
        try:
            answer = await self._resolve(name, rdtype)
        except dns.exception.DNSException as error:
            answer = self._answer(Outcome.TEMPORARY, FAILURE_TTL, text=str(error))
        count(metrics.DNS_LOOKUPS, rdtype, answer.outcome.name.lower())
        self._answers.pop((name, rdtype), None)  # so that the oldest answer is always the first
        self._answers[name, rdtype] = answer
        if len(self._answers) > MAX_ANSWERS:
            del self._answers[next(iter(self._answers))]
        return answer

    async def _resolve(self, name: str, rdtype: Type) -> Answer:
        try:
            qname = dns.name.from_text(name)
        except dns.exception.DNSException as error:  # labels that cannot exist
            return self._answer(Outcome.NO_NAME, MAX_NEGATIVE_TTL, text=str(error))
        try:
            timeout = TOTAL_TIMEOUT if len(self._asking) < MANY_OPEN else SHORT_TIMEOUT
            found = await self._dns.resolve(qname, rdtype, raise_on_no_answer=False, lifetime=timeout)
        except dns.resolver.NXDOMAIN as error:
            # RFC 2308 5: "no" lives as long as the zone's SOA says
            chain = error.kwargs["responses"][qname].resolve_chaining()
            return self._answer(Outcome.NO_NAME, min(chain.minimum_ttl, MAX_NEGATIVE_TTL))
        ttl = found.chaining_result.minimum_ttl
        if found.rrset is None:
            return self._answer(Outcome.NO_DATA, min(ttl, MAX_NEGATIVE_TTL))
        return self._answer(Outcome.FOUND, ttl, tuple(_record(rdata) for rdata in found.rrset))

    def _answer(self, outcome: Outcome, ttl: float, records: tuple[Record, ...] = (), text: str = "") -> Answer:
        return Answer(outcome, records, self._clock() + min(max(ttl, MIN_TTL), MAX_TTL), text)


def _record(rdata: dns.rdata.Rdata) -> Record:
    if isinstance(rdata, MX):
        return Record(rdata.preference, rdata.exchange.to_text(omit_final_dot=True).lower())
    return Record(0, rdata.to_text())
