"""A DNS server on loopback: knows what its zone is told, misbehaves as it is told, counts questions."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from master.demo.dns_zone import Fallback, Zone, name_text
from master.demo.server import LoopbackServer, pass_time

#: Largest UDP message, whatever the client allows (the size that DNS Flag Day 2020 settled on).
UDP_PAYLOAD = 1232
_PORT_TRIES = 20
_Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class _Fault:
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    wait: float | asyncio.Event = 0
    silent: bool = False


class DnsServer(LoopbackServer):
    """UDP and TCP on the same port; what it knows is added to ``zone``.

    ``questions`` counts what was asked: ``questions["example.test", "MX"]``, names in lower case without
    final dot; ``streams`` are the open TCP connections.
    """

    def __init__(self, fallback: Fallback | None = None, negative_ttl: int = 60) -> None:
        super().__init__()
        self.zone = Zone(fallback, negative_ttl)
        self.questions: Counter[tuple[str, str]] = Counter()
        self._faults: dict[tuple[dns.name.Name, str], _Fault] = {}
        self._waiting: set[asyncio.Task[None]] = set()
        self.streams: set[asyncio.Transport] = set()

    def misbehave(
        self,
        name: str,
        rcode: str = "NOERROR",
        *,
        wait: float | asyncio.Event = 0,
        silent: bool = False,
        rdtype: str = "ANY",
    ) -> None:
        """Let a name answer ``rcode`` (``SERVFAIL``, ``REFUSED`` …), late, or not at all.

        ``wait`` is seconds or an event; ``rdtype`` narrows it to questions of one type. Replaces what was
        said of the same name and type before. Raises dns.rcode.UnknownRcode.
        """
        self._faults[dns.name.from_text(name), rdtype] = _Fault(dns.rcode.from_text(rcode), wait, silent)

    def behave(self, name: str, rdtype: str = "ANY") -> None:
        """Take back ``misbehave``."""
        self._faults.pop((dns.name.from_text(name), rdtype), None)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on UDP and TCP ``host:port``; port 0 takes one that is free on both. Raises OSError."""
        loop = asyncio.get_running_loop()
        for tries_left in reversed(range(1 if port else _PORT_TRIES)):
            self._tcp = await loop.create_server(lambda: _Stream(self), host, port)
            address = self._tcp.sockets[0].getsockname()[:2]
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=address)
            except OSError:
                self._tcp.close()
                if not tries_left:
                    raise
            else:
                self.host, self.port = address
                return

    async def stop(self) -> None:
        """Close the port and all connections; questions that wait get no answer."""
        self.port = 0
        self._udp.close()
        self._tcp.close()
        for transport in list(self.streams):
            transport.abort()
        for task in list(self._waiting):
            task.cancel()
        await self.wait_until(lambda: not self.streams and not self._waiting)

    def receive(self, wire: bytes, send: _Send, *, udp: bool) -> None:
        """Answer a message by ``send``, now or later; what is no question is dropped."""
        try:
            query = dns.message.from_wire(wire)
            if len(query.question) != 1:
                return
            response = self.zone.respond(query, UDP_PAYLOAD)
        except dns.exception.DNSException:
            return
        name, rdtype = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        self.questions[name_text(name), rdtype] += 1
        self.changed()
        fault = self._faults.get((name, rdtype)) or self._faults.get((name, "ANY")) or _Fault()
        if fault.rcode:
            response = dns.message.make_response(query, recursion_available=True, our_payload=UDP_PAYLOAD)
            response.set_rcode(fault.rcode)
        # RFC 6891 6.2.3, 6.2.5: over UDP at most what the client takes, 512 bytes without EDNS
        size = max(512, min(query.payload, UDP_PAYLOAD)) if udp else 65535
        answer = partial(send, response.to_wire(max_size=size, prefer_truncation=True))
        if fault.wait:
            task = asyncio.get_running_loop().create_task(self._later(fault, answer))
            self._waiting.add(task)
            task.add_done_callback(self._done)
        elif not fault.silent:
            answer()

    async def _later(self, fault: _Fault, answer: Callable[[], None]) -> None:
        await pass_time(fault.wait)
        if not fault.silent:
            answer()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        self.changed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._server.receive(data, partial(self._transport.sendto, addr=addr), udp=True)


class _Stream(asyncio.Protocol):
    """RFC 1035 4.2.2: every message behind its length in two bytes."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._server.streams.add(transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < end:
                return
            wire, self._buffer = self._buffer[2:end], self._buffer[end:]
            self._server.receive(wire, self._send, udp=False)

    def _send(self, wire: bytes) -> None:
        self._transport.write(len(wire).to_bytes(2, "big") + wire)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.streams.discard(self._transport)
        self._server.changed()
