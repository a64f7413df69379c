"""The DNS server of the loopback world, asked by dnspython's own client."""

import asyncio

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import pytest
from dns.asyncresolver import Resolver
from hypothesis import given, settings
from hypothesis import strategies as st

from master.demo.dns_server import DnsServer


@pytest.fixture
async def server():
    async with DnsServer() as running:
        yield running


def ask(server, name, rdtype="MX", **options):
    return dns.asyncquery.udp(dns.message.make_query(name, rdtype, **options), server.host, 5, server.port)


def values(response):
    return [sorted(rdata.to_text().lower() for rdata in rrset) for rrset in response.answer]


async def test_gives_the_records_it_was_told(server):
    server.zone.add("example.test", "MX", "10 mx1.example.test", "20 mx2.example.test", ttl=7)
    server.zone.add("example.test", "TXT", "v=DKIM1; p=" + "x" * 300)
    server.zone.add("mx1.example.test", "A", "127.0.0.2")
    server.zone.add("mx1.example.test", "A", "127.0.0.3")
    server.zone.add("null.test", "MX", "0 .")

    mx = await ask(server, "EXAMPLE.test")
    assert values(mx) == [["10 mx1.example.test.", "20 mx2.example.test."]]
    assert mx.answer[0].ttl == 7
    assert values(await ask(server, "mx1.example.test", "A")) == [["127.0.0.2", "127.0.0.3"]]
    assert values(await ask(server, "null.test")) == [["0 ."]]
    [[text]] = (await ask(server, "example.test", "TXT")).answer
    assert b"".join(text.strings) == b"v=DKIM1; p=" + b"x" * 300


async def test_follows_aliases(server):
    server.zone.add("www.test", "CNAME", "alias.test")
    server.zone.add("alias.test", "CNAME", "host.test")
    server.zone.add("host.test", "A", "127.0.0.2")
    server.zone.add("dangling.test", "CNAME", "nowhere.test")
    server.zone.add("loop.test", "CNAME", "loop.test")

    assert values(await ask(server, "www.test", "A")) == [["alias.test."], ["host.test."], ["127.0.0.2"]]
    dangling = await ask(server, "dangling.test", "A")
    assert (dangling.rcode(), values(dangling)) == (dns.rcode.NXDOMAIN, [["nowhere.test."]])
    assert (await ask(server, "loop.test", "A")).rcode() == dns.rcode.NOERROR


async def test_no_such_name_is_not_no_such_record(server):
    server.zone.add("host.test", "A", "127.0.0.2")
    empty, unknown = await ask(server, "host.test", "AAAA"), await ask(server, "unknown.test", "AAAA")
    assert (empty.rcode(), unknown.rcode()) == (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    assert [rrset.rdtype.name for rrset in empty.authority + unknown.authority] == ["SOA", "SOA"]

    server.zone.remove("host.test")
    assert (await ask(server, "host.test", "A")).rcode() == dns.rcode.NXDOMAIN


async def test_unknown_names_go_to_the_fallback():
    def fallback(name, rdtype):
        if name.startswith("d"):
            return [f"10 mx.{name}"] if rdtype == "MX" else []
        return None

    async with DnsServer(fallback) as server:
        assert values(await ask(server, "D17.load.test")) == [["10 mx.d17.load.test."]]
        assert (await ask(server, "d17.load.test", "A")).rcode() == dns.rcode.NOERROR
        assert (await ask(server, "other.test")).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NXDOMAIN"])
async def test_answers_with_an_error_until_told_otherwise(server, rcode):
    server.zone.add("example.test", "A", "127.0.0.2")
    server.misbehave("example.test", rcode, rdtype="A")
    assert (await ask(server, "example.test", "A")).rcode() == dns.rcode.from_text(rcode)
    assert (await ask(server, "example.test", "AAAA")).rcode() == dns.rcode.NOERROR

    server.behave("example.test", rdtype="A")
    assert values(await ask(server, "example.test", "A")) == [["127.0.0.2"]]


async def test_counts_questions_and_holds_answers_back(server):
    release = asyncio.Event()
    server.zone.add("example.test", "MX", "10 mx.example.test")
    server.misbehave("example.test", wait=release)
    question = asyncio.create_task(ask(server, "Example.test"))

    await server.wait_until(lambda: server.questions["example.test", "MX"] == 1)
    assert not question.done()
    release.set()
    assert values(await question) == [["10 mx.example.test."]]
    assert server.questions.total() == 1


async def test_silence(server):
    server.misbehave("example.test", silent=True)
    question = asyncio.create_task(ask(server, "example.test"))
    await server.wait_until(lambda: server.questions["example.test", "MX"] == 1)
    server.zone.add("other.test", "A", "127.0.0.2")
    await ask(server, "other.test", "A")  # answered later than a wrong answer would have been
    assert not question.done()
    question.cancel()


@pytest.mark.parametrize(("edns", "fits"), [({}, False), ({"use_edns": 0, "payload": 1232}, True)])
async def test_long_answers_are_truncated_and_come_whole_over_tcp(server, edns, fits):
    server.zone.add("big.test", "TXT", *(f"{n}" * 50 for n in range(10, 17)))
    short = await ask(server, "big.test", "TXT", **edns)
    assert bool(short.flags & dns.flags.TC) is not fits

    query = dns.message.make_query("big.test", "TXT", **edns)
    whole, used_tcp = await dns.asyncquery.udp_with_fallback(query, server.host, 5, server.port)
    assert (len(whole.answer[0]), used_tcp) == (7, not fits)


async def test_one_tcp_connection_takes_many_questions(server):
    server.zone.add("a.test", "A", "127.0.0.2")
    wires = [dns.message.make_query("a.test", "A").to_wire(prepend_length=True) for _ in range(3)]
    reader, writer = await asyncio.open_connection(server.host, server.port)
    for cut in (wires[0][:1], wires[0][1:9], wires[0][9:] + wires[1] + wires[2]):
        writer.write(cut)
        await writer.drain()
    for wire in wires:
        length = int.from_bytes(await reader.readexactly(2), "big")
        assert (await reader.readexactly(length))[:2] == wire[2:4]
    writer.close()
    await writer.wait_closed()


async def test_stops_with_connections_open_and_questions_waiting():
    server = DnsServer()
    await server.start()
    server.misbehave("a.test", wait=asyncio.Event())
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(dns.message.make_query("a.test", "A").to_wire(prepend_length=True))
    await server.wait_until(lambda: server.questions["a.test", "A"] == 1)
    port = server.port
    await server.stop()
    assert await reader.read() == b""
    writer.close()

    await server.start(port=port)
    assert server.address == f"127.0.0.1:{port}"
    await server.stop()


async def test_a_stub_resolver_finds_its_way(server):
    server.zone.add("mx.test", "CNAME", "host.test")
    server.zone.add("host.test", "A", "127.0.0.2")
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = [server.host], server.port
    assert [a.address for a in await resolver.resolve("mx.test", "A")] == ["127.0.0.2"]
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("unknown.test", "A")
    with pytest.raises(dns.resolver.NoAnswer):
        await resolver.resolve("mx.test", "MX")


@settings(deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b"\0\1\1\0\0\1\0\0\0\0\0\0" + tail))
def test_any_bytes_are_answered_or_dropped(wire):
    answers = []
    DnsServer().receive(wire, answers.append, udp=True)
    for answer in answers:
        assert answer[:2] == wire[:2]
        assert len(answer) <= 1232
