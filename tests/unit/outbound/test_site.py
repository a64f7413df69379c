import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from support import until

from common.config import Config
from common.limits.client import Limiter
from common.policies import reading
from common.policies.holds import Holds
from common.policies.policies import Policies
from master.demo.dns_server import DnsServer
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_script import Phase, Rule
from outbound import site as site_module
from outbound import sites as sites_module
from outbound.connection import Login
from outbound.failure import DeliveryFailure, NotNowError
from outbound.resolver import Resolver
from outbound.routing import Router
from outbound.seat import Seat
from outbound.site import Delivered, Means, Site
from outbound.sites import Sites
from outbound.smtp import Envelope
from outbound.ways import Way, Ways, from_rules

MESSAGE = b"Subject: hello\r\n\r\nhello\r\n"


class World:
    """``a.test`` with sinks ``mx1.test`` (preferred) and ``mx2.test`` on the same port of two addresses."""

    def __init__(self, dns: DnsServer, sinks: list[Sink]) -> None:
        self.dns = dns
        self.sinks = sinks
        self.configure()

    def configure(self, sources: tuple[str, ...] = (), **delivery: object) -> None:
        delivery = {"port": self.sinks[0].port, "prohibited_networks": [], "command_timeout": "10s", **delivery}
        config = Config.model_validate({"hostname": "us.test", "delivery": delivery})
        self.router = Router(config, Resolver([self.dns.address]))
        policies = Policies(reading.of_config(config, None))
        self.ways = Ways(from_rules(policies), Holds(), self.router, "default", sources)
        self.free = asyncio.Event()
        self.sites = Sites(Means(self.router, Limiter.alone(), "us.test", Login()))
        self.sites.on_free = lambda _: self.free.set()

    async def way(self, domain: str) -> Way:
        return await self.ways.find(domain)

    def site_of(self, way: Way) -> Site:
        return self.sites.get(way.route.key, way.pace.connections, way.source)

    async def site(self, domain: str = "a.test") -> Site:
        return self.site_of(await self.way(domain))

    async def deliver(self, recipient: str = "b@a.test") -> Delivered:
        way = await self.way(recipient.rpartition("@")[2])
        while not (seat := self.site_of(way).seat()):
            self.free.clear()
            await self.free.wait()
        try:
            envelope = Envelope("s@s.test", recipient)
            return await self.site_of(way).deliver(seat, way, envelope, MESSAGE, lambda: True)
        finally:
            seat.leave()

    async def fail(self, recipient: str = "b@a.test") -> DeliveryFailure:
        with pytest.raises(DeliveryFailure) as caught:
            await self.deliver(recipient)
        return caught.value


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer())
        dns.zone.add("a.test", "MX", "10 mx1.test", "20 mx2.test")
        sinks: list[Sink] = []
        for i in (1, 2):
            sink = Sink(hostname=f"mx{i}.test")
            await sink.start(f"127.0.1.{i}", sinks[0].port if sinks else 0)
            sinks.append(await stack.enter_async_context(sink))
            dns.zone.add(f"mx{i}.test", "A", sink.host)
        world = World(dns, sinks)
        yield world
        await world.sites.close()


async def test_delivered(world: World) -> None:
    delivered = await world.deliver()
    assert (delivered.code, delivered.enhanced, delivered.text) == (250, "2.0.0", "Ok: taken")
    assert (delivered.mx_host, delivered.mx_address) == ("mx1.test", "127.0.1.1")
    assert not delivered.reused
    assert delivered.time_connect > 0
    assert delivered.time_transfer > 0


async def test_tls_is_reported(world: World) -> None:
    world.sinks[0].extensions = (*EXTENSIONS, "STARTTLS")
    delivered = await world.deliver()
    assert delivered.tls_version == world.sinks[0].received[0].tls != ""
    assert delivered.tls_cipher


async def test_what_was_offered_is_reported(world: World) -> None:
    assert not (await world.deliver()).offered.dsn
    world.sinks[0].extensions = (*EXTENSIONS, "DSN")
    await world.sites.close()
    assert (await world.deliver()).offered.dsn


class TestReuse:
    async def test_one_connection_for_domains_of_a_site(self, world: World) -> None:
        world.dns.zone.add("b.test", "MX", "10 mx1.test", "20 mx2.test")
        delivered = [await world.deliver(f"x@{domain}.test") for domain in "abab"]
        assert [d.reused for d in delivered] == [False, True, True, True]
        assert delivered[1].time_connect == 0
        assert world.sinks[0].connections == 1

    async def test_as_many_connections_as_are_busy(self, world: World) -> None:
        go_on = asyncio.Event()
        world.sinks[0].rules = [Rule(phase="dot", wait=go_on, times=3)]
        deliveries = [asyncio.create_task(world.deliver()) for _ in range(3)]
        await world.sinks[0].wait_until(lambda: world.sinks[0].mails == 3)
        site = await world.site()
        assert site.busy == 3
        go_on.set()
        await asyncio.gather(*deliveries)
        assert site.busy == 0
        assert all([(await world.deliver()).reused for _ in range(3)])
        assert world.sinks[0].connections == 3

    async def test_none_that_others_may_take_for_closed(self, world: World) -> None:
        """A message that is under way is sent; no other begins on what is open, nor on the right to open one."""
        go_on = asyncio.Event()
        rule = Rule(phase="dot", wait=go_on, times=1)
        world.sinks[0].rules = [rule]
        limiter, site, way = world.sites._means.limiter, await world.site(), await world.way("a.test")
        busy = asyncio.create_task(world.deliver())
        await world.sinks[0].wait_until(lambda: rule.used)
        assert not (await world.deliver()).reused
        open_, lease = site.seat(), limiter.lease_now(site.limits, site.key)
        assert open_
        assert lease
        limiter.lapse()
        go_on.set()
        await busy
        for seat in (open_, Seat(site, lease)):
            with pytest.raises(NotNowError):
                await site.deliver(seat, way, Envelope("s@s.test", "b@a.test"), MESSAGE, lambda: True)
        open_.leave()
        assert world.sinks[0].connections == world.sinks[0].mails == 2
        assert not (await world.deliver()).reused
        assert (await world.deliver()).reused
        assert world.sinks[0].connections == 3

    async def test_no_more_messages_than_the_server_says(self, world: World) -> None:
        world.sinks[0].extensions = (*EXTENSIONS, "LIMITS MAILMAX=2")
        site = await world.site()
        for idle in (1, 0, 1, 0, 1):  # used up, a connection is closed at once: its server need not refuse anything
            assert (await world.deliver()).mx_host == "mx1.test"
            assert site.idle == idle
        assert sorted(world.sinks[0].transactions.values()) == [1, 2, 2]

    async def test_messages_per_connection(self, world: World) -> None:
        world.configure(messages_per_connection=2)
        for _ in range(5):
            await world.deliver()
        assert world.sinks[0].transactions == {1: 2, 2: 2, 3: 1}

    async def test_a_connection_on_its_way_out_counts(self, world: World) -> None:
        world.configure(messages_per_connection=1, connections=1)
        go_on = asyncio.Event()
        world.sinks[0].rules = [quit_ := Rule(phase="quit", wait=go_on)]
        await world.deliver()
        delivery = asyncio.create_task(world.deliver())
        await world.sinks[0].wait_until(lambda: quit_.used == 1)
        world.dns.zone.add("c.test", "A", world.sinks[1].host)
        await world.deliver("x@c.test")  # in this time the other would have connected too
        assert world.sinks[0].connections == 1
        go_on.set()
        assert not (await delivery).reused

    async def test_idle_connections_are_quit(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(site_module, "IDLE_TIMEOUT", 0.01)
        world.sinks[0].rules = [quit_ := Rule(phase="quit")]
        await world.deliver()
        await world.sinks[0].wait_until(lambda: not world.sinks[0].open)
        assert quit_.used == 1
        assert not (await world.deliver()).reused

    async def test_close(self, world: World) -> None:
        world.sinks[0].rules = [quit_ := Rule(phase="quit")]
        await world.deliver()
        await world.sites.close()
        assert quit_.used == 1
        assert (await world.site()).unused

    async def test_a_message_refused_leaves_the_connection(self, world: World) -> None:
        world.sinks[0].rules = [Rule(phase="rcpt", recipient="no@a.test", reply="550 5.1.1 No such user")]
        failure = await world.fail("no@a.test")
        assert (failure.permanent, failure.host, failure.site_down) == (True, "mx1.test", False)
        assert (await world.deliver()).reused


class TestStale:
    """A kept connection that dies before it took anything of the mail costs no attempt."""

    @pytest.mark.parametrize(
        "rule",
        [
            Rule(phase="mail", do="drop", times=1),
            Rule(phase="mail", reply="421 4.4.2 Too idle", times=1),
        ],
        ids=["closed", "421"],
    )
    async def test_another_is_opened(self, world: World, rule: Rule) -> None:
        sink = world.sinks[0]
        await world.deliver()
        sink.rules = [rule]
        rule.used = 0
        delivered = await world.deliver()
        assert not delivered.reused
        assert (sink.mails, sink.connections) == (2, 2)

    async def test_after_a_failed_reset(self, world: World) -> None:
        sink = world.sinks[0]
        sink.rules = [Rule(phase="rcpt", reply="550 No", times=1), Rule(phase="rset", reply="500 What?")]
        await world.fail()
        assert not (await world.deliver()).reused

    async def test_a_restarted_server(self, world: World) -> None:
        sink = world.sinks[0]
        await world.deliver()
        port = sink.port
        await sink.stop()
        await sink.start(sink.host, port)
        assert not (await world.deliver()).reused

    @pytest.mark.parametrize("phase", ["rcpt", "data", "dot"])
    async def test_later_it_is_a_failure(self, world: World, phase: Phase) -> None:
        await world.deliver()
        world.sinks[0].rules = [Rule(phase=phase, do="drop")]
        failure = await world.fail()
        assert (failure.phase, failure.reason, failure.permanent) == (phase, "closed", False)
        assert world.sinks[0].connections == 1


class TestEveryAddress:
    async def test_the_next_host_after_a_refused_connection(self, world: World) -> None:
        await world.sinks[0].stop()
        assert (await world.deliver()).mx_host == "mx2.test"
        assert (await world.site()).down_failure is None

    async def test_the_next_address_of_a_host(self, world: World) -> None:
        world.dns.zone.add("c.test", "A", "127.0.1.77", "127.0.1.2")
        for _ in range(5):
            assert (await world.deliver("x@c.test")).mx_address == "127.0.1.2"

    @pytest.mark.parametrize("phase", ["banner", "ehlo"])
    @pytest.mark.parametrize("reply", ["421 4.3.2 Full", "450 Later"])
    async def test_the_next_host_after_an_unwelcome(self, world: World, phase: Phase, reply: str) -> None:
        world.sinks[0].rules = [Rule(phase=phase, reply=reply)]
        assert (await world.deliver()).mx_host == "mx2.test"

    async def test_a_refused_message_goes_nowhere_else(self, world: World) -> None:
        world.sinks[0].rules = [Rule(phase="mail", reply="450 4.2.0 Later")]
        assert (await world.fail()).host == "mx1.test"
        assert world.sinks[1].connections == 0

    async def test_a_dead_address_is_tried_last_for_a_while(self, world: World) -> None:
        sink = world.sinks[0]
        port = sink.port
        await sink.stop()
        world.configure(port=port, messages_per_connection=1)
        await world.deliver()
        await sink.start(sink.host, port)
        assert (await world.deliver()).mx_host == "mx2.test"
        assert sink.connections == 0

    async def test_mail_for_nobody(self, world: World) -> None:
        """RFC 7504: permanent when all hosts say so."""
        for sink in world.sinks:
            sink.rules = [Rule(phase="banner", reply="521 5.3.2 No mail here")]
        failure = await world.fail()
        assert (failure.permanent, failure.site_down, failure.code) == (True, False, 521)
        world.sinks[0].rules = [Rule(phase="banner", reply="450 Later")]
        assert not (await world.fail()).permanent

    async def test_no_address_is_no_fault_of_the_site(self, world: World) -> None:
        world.dns.zone.add("c.test", "MX", "10 none.test")
        failure = await world.fail("x@c.test")
        assert (failure.permanent, failure.phase, failure.site_down) == (True, "dns", False)


class TestDown:
    async def test_remembered(self, world: World) -> None:
        for sink in world.sinks:
            sink.rules = [Rule(phase="banner", reply="421 4.3.2 Down")]
        failure = await world.fail()
        assert (failure.site_down, failure.permanent, failure.host) == (True, False, "mx2.test")
        site = await world.site()
        assert site.down_failure is not None
        assert str(site.down_failure) == str(failure)
        assert 50 < site.down_until - time.monotonic() <= 60
        assert not site.unused

    async def test_over_after_its_time(self, world: World) -> None:
        world.configure(site_down="0s")
        world.sinks[0].rules = world.sinks[1].rules = [Rule(phase="banner", reply="421 4.3.2 Down", times=2)]
        assert (await world.fail()).site_down
        site = await world.site()
        assert site.down == 0
        await until(lambda: site.unused)
        await world.deliver()

    async def test_up_again_once_it_answers(self, world: World) -> None:
        told: list[Site] = []
        world.sites.on_up = told.append
        world.sinks[0].rules = world.sinks[1].rules = [Rule(phase="banner", do="drop", times=2)]
        await world.fail()
        await world.deliver()
        assert (await world.site()).down_failure is None
        assert told == [await world.site()]

    async def test_not_while_it_talks_to_us(self, world: World) -> None:
        """A server may have enough of our connections without being down."""
        go_on = asyncio.Event()
        world.sinks[0].rules = [Rule(phase="dot", wait=go_on)]
        first = asyncio.create_task(world.deliver())
        await world.sinks[0].wait_for(1)
        for sink in world.sinks:
            sink.rules.insert(0, Rule(phase="banner", reply="421 4.7.0 Too many connections"))
        failure = await world.fail()
        assert (failure.code, failure.site_down) == (421, False)
        assert (await world.site()).down_failure is None
        go_on.set()
        await first


async def test_a_cancelled_delivery_leaves_nothing(world: World) -> None:
    world.sinks[0].rules = [Rule(phase="dot", do="hang")]
    delivery = asyncio.create_task(world.deliver())
    await world.sinks[0].wait_until(lambda: world.sinks[0].transactions[1] == 1)
    delivery.cancel()
    await asyncio.wait([delivery])
    await world.sinks[0].wait_until(lambda: not world.sinks[0].open)
    site = await world.site()
    await until(lambda: site.unused)


async def test_unused_sites_are_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites_module, "MAX_SITES", 2)
    await world.deliver()
    used, way = await world.site(), await world.way("a.test")
    first = world.sites.get("b")
    assert world.sites.get("b") is first
    world.sites.get("c")
    assert world.site_of(way) is used
    world.sites.get("d")
    assert world.site_of(way) is used
    assert world.sites.get("b") is not first


async def test_connections_come_from_the_sources_in_turn(world: World) -> None:
    sources = ("127.0.2.1", "127.0.2.2", "127.0.2.3")
    world.configure(sources, messages_per_connection=1)
    delivered = [await world.deliver() for _ in range(9)]
    assert [result.source_address for result in delivered] == [mail.peer for mail in world.sinks[0].received]
    assert Counter(mail.peer for mail in world.sinks[0].received) == dict.fromkeys(sources, 3)


async def test_a_source_that_the_machine_does_not_have_is_passed_over(world: World) -> None:
    world.configure(("203.0.113.1", "127.0.2.2"), messages_per_connection=1)
    for _ in range(4):
        assert (await world.deliver()).source_address == "127.0.2.2"


async def test_no_source_that_the_machine_has(world: World) -> None:
    world.configure(("203.0.113.1",))
    failure = await world.fail()
    assert failure.text == "source address 203.0.113.1: Cannot assign requested address"
    assert (failure.reason, failure.permanent, failure.site_down) == ("source", False, True)
    assert failure.source_address == "203.0.113.1"
    site = await world.site()
    assert site.down_failure
    assert site._hosts._silent == {}  # nothing is known of the other side


async def test_a_family_without_source_is_not_used(world: World) -> None:
    world.configure(("::1",))
    failure = await world.fail()
    assert "only IPv4 addresses, and the pool has no IPv4 address in source_addresses: mx1.test[" in failure.text
    assert (failure.reason, failure.permanent, failure.site_down) == ("source", False, False)
    assert not world.sinks[0].connections


async def test_of_two_families_the_one_with_a_source_is_used(world: World) -> None:
    world.dns.zone.add("mx1.test", "AAAA", "::1")  # where nobody listens
    world.configure(("::1",))
    assert "connect to mx1.test[::1]" in (await world.fail()).text
    assert not world.sinks[0].connections


async def test_a_connection_is_told_by_its_source(world: World) -> None:
    assert (await world.deliver()).source_address == world.sinks[0].received[0].peer == "127.0.0.1"
    world.sinks[0].rules.append(Rule(phase="rcpt", reply="550 5.7.1 Blocked"))
    assert (await world.fail()).source_address == "127.0.0.1"


async def test_a_host_that_does_not_let_us_in_counts_although_the_next_has_to_wait_for_its_turn(world: World) -> None:
    world.sinks[0].rules.append(Rule(phase="banner", reply="421 4.3.2 Down"))
    limiter, skew = world.sites._means.limiter, 0.0
    now = limiter._now
    limiter._now = limiter.owner._now = lambda: now() + skew
    rule = {"domain": "a.test", "connection_rate": "1/m"}
    config = Config.model_validate({"hostname": "us.test", "policies": [rule]})
    world.ways = Ways(from_rules(Policies(reading.of_config(config, None))), Holds(), world.router, "default")
    skew += 200  # the next token is there
    assert "421 4.3.2 Down" in str(await world.fail())
    skew += 200
    (await world.site())._down = None  # its time has passed
    assert (await world.deliver()).mx_host == "mx2.test"
