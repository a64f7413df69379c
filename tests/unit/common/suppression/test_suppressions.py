"""Suppressions in a real broker: changed from several sides, known everywhere, once."""

import asyncio
import time
from dataclasses import replace

import pytest
from queue_support import connected
from support import Nats, until

from common.broker import Broker, Message
from common.event import Type, unpack
from common.ids import base32
from common.queue import listing, streams
from common.suppression import store
from common.suppression.changes import forget_bounces, suppress
from common.suppression.rules import Rules
from common.suppression.suppression import Source, Suppression, bucket, hashed, pack
from common.suppression.suppressions import Suppressions

from .test_rules import event
from .test_suppression import one


async def known_to(broker: Broker) -> Suppressions:
    known = Suppressions()
    await known.start(broker)
    return known


def recent(recipient: str = "b@x.example", **values: object) -> Suppression:
    return one(recipient, **({"since": time.time()} | values))  # type: ignore[arg-type]


async def told(broker: Broker) -> list[str]:
    return [row["id"] async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]


async def test_what_one_process_adds_the_others_know(broker: Broker, nats: Nats) -> None:
    known = Suppressions()
    async with connected(nats) as other:
        await known.start(other)
        watch = asyncio.create_task(known.watch(other, 0.02))
        assert await store.add(broker, [recent()]) == [recent(since=pytest.approx(time.time(), abs=5))]
        await until(lambda: known.find("n@s.example", "B@x.example"))
        assert await store.remove(broker, "b@x.example")
        await until(lambda: not known.find("n@s.example", "b@x.example"))
        assert await store.remove(broker, "b@x.example") == []
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_subjects_name_nobody(broker: Broker) -> None:
    await store.add(broker, [recent("bob@x.example")])
    [subject] = await broker.subjects(store.STREAM, ">")
    assert subject == f"$KV.suppression.{base32(bucket(hashed('bob@x.example')), 3)}"
    assert store.number_in(subject) == store.bucket_of("bob@x.example")


async def test_only_one_scope_is_removed(broker: Broker) -> None:
    await store.add(broker, [recent(), recent(scope="@s.example")])
    assert [one.scope for one in await store.remove(broker, "b@x.example", "@s.example")] == ["@s.example"]
    assert [one.scope for one in await store.of(broker, "b@x.example")] == ["*"]


async def test_nobodys_change_is_lost(broker: Broker) -> None:
    """All of one bucket, at the same time."""
    first = store.bucket_of("r0@x.example")
    same = [name for i in range(60_000) if store.bucket_of(name := f"r{i}@x.example") == first]
    assert len(same) > 2
    await asyncio.gather(*(store.add(broker, [recent(name)]) for name in same))
    known = await known_to(broker)
    assert len(known) == len(same)
    assert sorted([one.recipient async for one in store.every(broker)]) == sorted(same)


async def test_a_bounce_told_twice_is_one_suppression_and_one_row(broker: Broker) -> None:
    rules = Rules()
    new = rules.bounced(event(time=time.time()))
    assert new
    assert await suppress(broker, rules, new)
    again = rules.bounced(event(time=time.time() + 1))
    assert again
    assert await suppress(broker, rules, again)  # it lasts longer
    assert not await suppress(broker, rules, new)
    ids = await told(broker)
    assert len(set(ids)) == 1
    [stored] = await store.of(broker, "bob@x.example")
    assert stored.by == "01k804kgf54oikkgd218-1"


async def test_soft_bounces_until_a_delivery_takes_them_back(broker: Broker) -> None:
    rules, known = Rules(soft_count=2), Suppressions()

    async def bounce(delivery: str) -> bool:
        row = event(time=time.time(), delivery=delivery, bounce_type="soft", bounce_class="mailbox-full")
        new = rules.bounced(row)
        assert new
        suppressed = await suppress(broker, rules, new)
        await known.look(broker)
        return suppressed

    def found() -> Suppression:
        one = known.find("news@shop.example", "bob@x.example")
        assert one
        return one

    assert not await bounce("a-1")
    assert not await bounce("a-1")
    assert found().source is Source.COUNTED
    await forget_bounces(broker, found())
    assert not await bounce("a-2")
    assert await bounce("a-3")
    assert found().source is Source.SOFT_BOUNCES
    await forget_bounces(broker, found())
    assert await store.of(broker, "bob@x.example")
    assert len(await told(broker)) == 1


async def test_being_taken_says_nothing_of_mail_that_comes_back_later(broker: Broker) -> None:
    rules, known = Rules(soft_count=3), Suppressions()
    told = [("a-1", Type.BOUNCED), *((f"a-{number}", Type.DSN) for number in (2, 2, 3, 4))]
    for delivery, type_ in told:
        values = {"delivery": delivery, "bounce_type": "soft", "bounce_class": "mailbox-full"}
        new = rules.bounced(event(type_, time=time.time(), **values))
        assert new
        assert await suppress(broker, rules, new) == (delivery == "a-4")
        await known.look(broker)
        found = known.find("news@shop.example", "bob@x.example")
        assert found
        await forget_bounces(broker, found)  # the next mail is taken
    [stored] = await store.of(broker, "bob@x.example")
    assert stored.source is Source.SOFT_BOUNCES


async def test_a_full_bucket_stops_no_mail(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BUCKET", 200)
    with pytest.raises(store.FullError, match="bucket"):
        await store.add(broker, [recent(scope=f"n{i}@s.example") for i in range(10)])
    new = recent(scope="x" * 200)
    assert not await suppress(broker, Rules(), new)


async def test_what_cannot_be_read_holds_nothing_back_and_is_not_written_over(broker: Broker) -> None:
    number = store.bucket_of("b@x.example")
    await broker.put(Message(f"$KV.suppression.{base32(number, 3)}", b"rubbish"))
    past = replace(recent("d@x.example"), until=-1.0)  # as lists had it that were imported before times were checked
    await broker.put(Message(f"$KV.suppression.{base32(store.bucket_of(past.recipient), 3)}", pack([past])))
    await store.add(broker, [recent("c@x.example")])
    known = await known_to(broker)
    assert len(known) == 1
    assert not await suppress(broker, Rules(), recent())
    assert {one.recipient async for one in store.every(broker)} == {"c@x.example", "d@x.example"}


async def test_a_store_put_back_from_a_copy(broker: Broker) -> None:
    await store.add(broker, [recent()])
    await store.add(broker, [recent("c@x.example")])
    known = await known_to(broker)
    await broker.api(f"STREAM.DELETE.{store.STREAM}")
    await streams.ensure(broker, ["default"], 10**9)
    number = store.bucket_of("d@x.example")
    await broker.put(Message(f"$KV.suppression.{base32(number, 3)}", pack([recent("d@x.example")])))
    assert await known.look(broker)
    assert [bool(known.find("", f"{name}@x.example")) for name in "bcd"] == [False, False, True]
