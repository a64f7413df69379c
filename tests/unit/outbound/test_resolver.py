import asyncio
from collections.abc import AsyncIterator

import pytest

from master.demo.dns_server import DnsServer
from outbound import resolver as module
from outbound.resolver import Outcome, Record, Resolver


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with DnsServer() as server:
        yield server


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_records(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", "20 MX2.a.test", "10 mx1.a.test")
    dns.zone.add("mx1.a.test", "A", "192.0.2.1")
    dns.zone.add("mx1.a.test", "AAAA", "2001:db8::1")
    dns.zone.add("null.test", "MX", "0 .")
    resolver = Resolver([dns.address])
    assert sorted((await resolver.lookup("a.test", "MX")).records) == [(10, "mx1.a.test"), (20, "mx2.a.test")]
    assert (await resolver.lookup("mx1.a.test", "A")).records == (Record(0, "192.0.2.1"),)
    assert (await resolver.lookup("mx1.a.test", "AAAA")).records == (Record(0, "2001:db8::1"),)
    assert (await resolver.lookup("null.test", "MX")).records == (Record(0, "."),)


async def test_an_alias_is_followed(dns: DnsServer) -> None:
    dns.zone.add("www.test", "CNAME", "a.test")
    dns.zone.add("a.test", "MX", "10 mx.a.test")
    assert (await Resolver([dns.address]).lookup("www.test", "MX")).records == (Record(10, "mx.a.test"),)


async def test_a_long_answer_comes_by_tcp(dns: DnsServer) -> None:
    dns.zone.add("a.test", "MX", *(f"{i} a-long-name-of-a-mail-exchanger-{i}.a.test" for i in range(60)))
    assert len((await Resolver([dns.address]).lookup("a.test", "MX")).records) == 60


async def test_outcomes(dns: DnsServer) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1")
    for rcode in ("SERVFAIL", "REFUSED"):
        dns.misbehave(f"{rcode}.test", rcode)
    resolver = Resolver([dns.address])
    assert (await resolver.lookup("none.test", "MX")).outcome is Outcome.NO_NAME
    assert (await resolver.lookup("a.test", "MX")).outcome is Outcome.NO_DATA
    for rcode in ("SERVFAIL", "REFUSED"):
        answer = await resolver.lookup(f"{rcode}.test", "MX")
        assert answer.outcome is Outcome.TEMPORARY
        assert rcode in answer.text


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", "x." * 150 + "test", "\\"])
async def test_a_name_that_cannot_be(name: str, dns: DnsServer) -> None:
    assert (await Resolver([dns.address]).lookup(name, "MX")).outcome is Outcome.NO_NAME
    assert not dns.questions


async def test_silence_is_temporary(dns: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUESTION_TIMEOUT", 0.02)
    monkeypatch.setattr(module, "TOTAL_TIMEOUT", 0.05)
    dns.misbehave("a.test", silent=True)
    assert (await Resolver([dns.address]).lookup("a.test", "MX")).outcome is Outcome.TEMPORARY


async def test_there_is_less_patience_with_many_questions_open(
    dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MANY_OPEN", 3)
    monkeypatch.setattr(module, "SHORT_TIMEOUT", 0.05)
    answer = asyncio.Event()
    dns.misbehave("slow.test", wait=answer)
    dns.misbehave("late.test", wait=answer)
    dns.misbehave("mute.test", silent=True)
    resolver = Resolver([dns.address])
    early = [asyncio.create_task(resolver.lookup(name, "A")) for name in ("slow.test", "late.test")]
    await dns.wait_until(lambda: dns.questions.total() == 2)
    assert (await resolver.lookup("mute.test", "MX")).outcome is Outcome.TEMPORARY
    assert not any(task.done() for task in early)
    answer.set()
    assert {(await task).outcome for task in early} == {Outcome.NO_NAME}


async def test_the_next_nameserver_is_asked(dns: DnsServer) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1")
    async with DnsServer() as other:
        other.misbehave("a.test", "SERVFAIL")
        resolver = Resolver([other.address, dns.address])
        assert (await resolver.lookup("a.test", "A")).outcome is Outcome.FOUND


@pytest.mark.parametrize(
    ("ttl", "kept"), [(60, 60), (0, module.MIN_TTL), (10**6, module.MAX_TTL)], ids=["as told", "zero", "long"]
)
async def test_answers_live_as_long_as_they_say(dns: DnsServer, ttl: int, kept: int) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1", ttl=ttl)
    await expect_kept(dns, kept)


async def test_no_lives_as_long_as_the_zone_says(dns: DnsServer) -> None:
    await expect_kept(dns, 60)


async def test_failure_is_remembered_shortly(dns: DnsServer) -> None:
    dns.misbehave("a.test", "SERVFAIL")
    await expect_kept(dns, module.FAILURE_TTL)


async def expect_kept(dns: DnsServer, seconds: int) -> None:
    clock = Clock()
    resolver = Resolver([dns.address], clock)
    before = await resolver.lookup("a.test", "A")
    asked = dns.questions["a.test", "A"]
    clock.now += seconds - 0.1
    assert await resolver.lookup("a.test", "A") is before
    assert dns.questions["a.test", "A"] == asked
    clock.now += 0.2
    assert await resolver.lookup("a.test", "A") is not before
    assert dns.questions["a.test", "A"] == 2 * asked


async def test_one_question_in_flight(dns: DnsServer) -> None:
    dns.zone.add("a.test", "A", "192.0.2.1")
    answer_now = asyncio.Event()
    dns.misbehave("b.test", wait=answer_now)
    dns.zone.add("b.test", "A", "192.0.2.2")
    resolver = Resolver([dns.address])
    askers = [asyncio.create_task(resolver.lookup("b.test", "A")) for _ in range(50)]
    await dns.wait_until(lambda: dns.questions["b.test", "A"] > 0)
    askers[0].cancel()  # takes nothing from the others
    assert (await resolver.lookup("a.test", "A")).outcome is Outcome.FOUND
    answer_now.set()
    answers = await asyncio.gather(*askers[1:])
    assert all(answer.records == (Record(0, "192.0.2.2"),) for answer in answers)
    assert dns.questions["b.test", "A"] == 1


async def test_memory_is_bounded(dns: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWERS", 2)
    resolver = Resolver([dns.address])
    for name in ("a.test", "b.test", "c.test", "c.test", "a.test"):
        await resolver.lookup(name, "A")
    assert dns.questions["a.test", "A"] == 2
    assert dns.questions["c.test", "A"] == 1


async def test_an_address_alone_is_a_nameserver_too() -> None:
    Resolver(["192.0.2.53", "[2001:db8::53]:5353"])
