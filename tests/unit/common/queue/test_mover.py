"""What is under an order leaves the queue and comes back; nothing else moves, nothing is lost or told twice."""

import asyncio
import time
from typing import Any

import pytest
from control_support import done, end, give, moving, told
from queue_support import kinds, submit
from support import make_entry, until

from common.broker import Broker, Message
from common.controls import store
from common.controls.control import Match
from common.entry import Entry
from common.event import unpack
from common.ids import new_id, token
from common.queue import carrier, listing, pages, progress, removing, streams, stretches
from common.queue import moving as moving_module
from common.queue.carrier import Carrier
from common.queue.finish import Finisher
from common.queue.moving import ORDER
from common.queue.progress import Stretch
from common.queue.schedule import scheduled
from common.queue.take import Taker
from common.subjects import entry as entry_subject

SPRING = {"tags": ("spring", "web")}


def campaign(count: int, **changes: Any) -> list[Entry]:
    return [make_entry(f"r{i}@d{i % 3}.example", **SPRING, **changes) for i in range(count)]


async def submit_all(broker: Broker, entries: list[Entry]) -> None:
    await asyncio.gather(*(submit(broker, entry) for entry in entries))


async def schedule(broker: Broker, entry: Entry, at: float) -> None:
    await broker.put(scheduled(entry_subject("q", entry), entry.pack(), new_id(), at))


async def entries(broker: Broker) -> dict[str, listing.Listed]:
    return {listed.id: listed async for listed in listing.entries(broker, "default")}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "STEP", 4)
    monkeypatch.setattr(stretches, "READS", 2)


async def test_paused_and_resumed(broker: Broker) -> None:
    await submit_all(broker, [*campaign(10), make_entry("other@d0.example")])
    before = {id_: listed.entry for id_, listed in (await entries(broker)).items()}
    async with moving(broker):
        order = await give(broker)
        assert (await done(broker, order)).moved == 10
        assert await kinds(broker) == ["h"] * 10 + ["q"]
        held = [listed for listed in (await entries(broker)).values() if listed.kind == "h"]
        assert {listed.reason for listed in held} == {f"paused by ann@desk: wrong price (order {order.id})"}
        assert {listed.stored.headers[ORDER] for listed in held} == {order.id}
        await end(broker, order)
    assert await kinds(broker) == ["q"] * 11
    after = {id_: listed.entry for id_, listed in (await entries(broker)).items()}
    assert after.keys() == before.keys()
    for id_, entry in after.items():
        assert entry
        was = before[id_]
        assert was
        assert entry.but(expires=was.expires) == was
        assert (entry.expires > was.expires) == (entry.campaign == "spring")
    assert await told(broker) == {"deferred": 10, "resumed": 10, "admin": 2}


async def test_stopped_in_every_state(broker: Broker) -> None:
    """Ready, waiting for a retry, sent later, held by a pause, held as poison; nothing of others."""
    soon = time.time() + 3600
    await submit_all(broker, [*campaign(6), *campaign(2, due=soon), make_entry("other@d0.example")])
    for entry in campaign(3, attempts=2, last_reply="450 later"):
        await schedule(broker, entry, soon)
    poison = campaign(1)[0]
    await Finisher(broker, "default", Taker(broker, "default")).hold(
        entry_subject("h", poison), 10**6, poison.pack(), "poison", "poison"
    )
    async with moving(broker):
        pause = await give(broker, match=Match(tag="web"))
        await done(broker, pause)
        assert await kinds(broker) == ["h"] * 12 + ["q"]
        stop = await give(broker, "stop")
        assert (await done(broker, stop)).moved == 12
    assert await kinds(broker) == ["q"]
    assert await told(broker) == {"deferred": 11, "held": 1, "stopped": 12, "admin": 2}


async def test_retries_and_mail_sent_later_keep_their_time(broker: Broker) -> None:
    soon = time.time() + 3600
    [later] = campaign(1, due=soon)
    [retry] = campaign(1, attempts=2, last_reply="450 later")
    [overdue] = campaign(1, attempts=1, last_reply="450 later")
    await submit(broker, later)
    await schedule(broker, retry, soon)
    await schedule(broker, overdue, time.time() + 1.5)
    before = await entries(broker)
    async with moving(broker):
        order = await give(broker)
        await done(broker, order)
        assert await kinds(broker) == ["h"] * 3
        await asyncio.sleep(max(0, before[overdue.id].entry.accepted + 1.6 - time.time()))  # type: ignore[union-attr]
        await end(broker, order)
    after = await entries(broker)
    assert {id_: listed.kind for id_, listed in after.items()} == {later.id: "s", retry.id: "s", overdue.id: "q"}
    assert after[later.id].due == before[later.id].due
    assert after[retry.id].due == before[retry.id].due
    entry, was = after[later.id].entry, before[later.id].entry
    assert entry
    assert was
    assert entry.expires == was.expires  # it counts from its due time, which has not come


async def test_what_comes_later_is_taken_when_a_worker_met_it(broker: Broker) -> None:
    async with moving(broker):
        order = await give(broker)
        await done(broker, order)
        await submit_all(broker, campaign(3))
        await broker.publish(f"postjet.met.{order.id}", b"")
        await until(lambda: held_only(broker))


async def held_only(broker: Broker) -> bool:
    return set(await kinds(broker)) == {"h"}


async def test_pools_that_are_not_configured_any_more(broker: Broker) -> None:
    await streams.ensure(broker, ["default", "bulk"], 10**9)
    await submit_all(broker, campaign(2))
    for entry in campaign(3, pool="bulk"):
        await broker.put(Message(entry_subject("q", entry), entry.pack()))
    async with moving(broker):
        order = await give(broker)
        assert (await done(broker, order)).moved == 5
        assert await subjects_of(broker, "bulk") == ["h"] * 3
        await end(broker, order)
    assert await subjects_of(broker, "bulk") == ["q"] * 3


async def subjects_of(broker: Broker, pool: str) -> list[str]:
    return [subject[0] for subject in await broker.subjects(f"MQ_{pool}", ">")]


async def test_two_orders_about_the_same_mail(broker: Broker) -> None:
    """Who is let go by one is still held by the other, and told of once."""
    await submit_all(broker, campaign(5))
    async with moving(broker):
        first = await give(broker)
        await done(broker, first)
        second = await give(broker, match=Match(tag="web"))
        await done(broker, second)
        await end(broker, first)
        assert await kinds(broker) == ["h"] * 5
        assert {one.stored.headers[ORDER] for one in (await entries(broker)).values()} == {second.id}
        await end(broker, second)
    assert await kinds(broker) == ["q"] * 5
    assert await told(broker) == {"deferred": 5, "resumed": 5, "admin": 4}


async def test_an_order_ends_by_itself(broker: Broker) -> None:
    await submit_all(broker, campaign(5))
    async with moving(broker):
        order = await give(broker, until=time.time() + 1)
        await done(broker, order)
        assert await kinds(broker) == ["h"] * 5
        await until(lambda: nothing_held(broker))


async def nothing_held(broker: Broker) -> bool:
    return "h" not in await kinds(broker)


async def test_schedules_that_fire_meanwhile_are_stopped_and_told_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told of while they are scheduled, and are ready when they are to be removed."""
    for entry in campaign(6, attempts=1, last_reply="450 later"):
        await schedule(broker, entry, time.time() + 2)
    remove = Carrier._remove

    async def late(self: Carrier, job: Any, stretch: Stretch) -> None:
        if stretch.kind == "s":
            await until(lambda: all_fired(broker))
        await remove(self, job, stretch)

    monkeypatch.setattr(Carrier, "_remove", late)
    async with moving(broker):
        order = await give(broker, "stop")
        await done(broker, order)
    assert await kinds(broker) == []
    assert await told(broker) == {"stopped": 6, "admin": 1}


async def all_fired(broker: Broker) -> bool:
    return "s" not in await kinds(broker)


STEPS = {
    "pause": ("save", "_tell", "_hold", "_remove", "clear"),
    "stop": ("save", "_tell", "_stop", "_remove", "clear"),
    "resume": ("save", "_tell", "_bring_back", "clear"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("action", "step"), [(action, step) for action, steps in STEPS.items() for step in steps])
async def test_a_mover_that_dies_at_any_step(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, action: str, step: str, when: str
) -> None:
    """The next one goes on where it died; nothing is lost, nothing is told twice."""
    await submit_all(broker, campaign(10))
    order = await give(broker, "stop" if action == "stop" else "pause")
    if action == "resume":
        async with moving(broker):
            await done(broker, order)
        await store.end(broker, order, "bob@desk")
    original, calls, dead = getattr(Carrier, step), 0, asyncio.Event()

    async def dying(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        result = None if calls == 2 and when == "before" else await original(self, *args, **options)
        if calls == 2:
            dead.set()
            await asyncio.Event().wait()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Carrier, step, dying)
        async with moving(broker):
            await asyncio.wait_for(dead.wait(), 20)
    async with moving(broker):
        if action == "resume":
            await until(lambda: is_over(broker))
            assert (await progress.read(broker, order)).returned == 10
        else:
            assert (await done(broker, order)).moved == 10
    assert await kinds(broker) == {"pause": ["h"] * 10, "stop": [], "resume": ["q"] * 10}[action]
    counts = await told(broker)
    del counts["admin"]
    assert counts == {
        "pause": {"deferred": 10}, "stop": {"stopped": 10}, "resume": {"deferred": 10, "resumed": 10},
    }[action]  # fmt: skip


async def is_over(broker: Broker) -> bool:
    return not await store.read(broker)


async def test_many_rows_are_told_in_several_messages(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "STEP", 100)
    monkeypatch.setattr(carrier, "ROWS", 7)
    await submit_all(broker, campaign(50))
    accepted = (await broker.api("STREAM.INFO.EVENTS"))["state"]["messages"]
    async with moving(broker):
        order = await give(broker)
        assert (await done(broker, order)).moved == 50
    assert await told(broker) == {"deferred": 50, "admin": 1}
    assert (await broker.api("STREAM.INFO.EVENTS"))["state"]["messages"] > accepted + 50 // 7


async def test_a_page_half_moved_is_told_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it goes under the id of the row that was its first."""
    monkeypatch.setattr(moving_module, "BATCH", 2)
    soon = time.time() + 3600
    await submit_all(broker, campaign(4, due=soon))
    [order, dead, put] = [await give(broker), asyncio.Event(), Broker.put_batch]

    async def dying(self: Broker, messages: list[Message], **options: Any) -> None:
        await put(self, messages, **options)
        dead.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Broker, "put_batch", dying)
        async with moving(broker):
            await asyncio.wait_for(dead.wait(), 20)
    assert await kinds(broker) == ["h", "h", "s", "s"]
    async with moving(broker):
        assert (await done(broker, order)).moved == 4
    assert await kinds(broker) == ["h"] * 4
    assert await told(broker) == {"deferred": 4, "admin": 1}


async def test_a_page_behind_much_that_stays_is_repeated(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read that finds it again begins where it begins."""
    await submit_all(broker, [make_entry(f"r{i}@d.example") for i in range(5)])
    await submit_all(broker, campaign(2))
    order, dead, hold = await give(broker, match=Match(tag="web")), asyncio.Event(), Carrier._hold
    repeated = []

    async def dying(self: Carrier, job: Any, found: list[Any]) -> None:
        dead.set()
        await asyncio.Event().wait()

    async def noted(self: Carrier, job: Any, found: list[Any]) -> None:
        repeated.append(len(found))
        await hold(self, job, found)

    with monkeypatch.context() as patch:
        patch.setattr(Carrier, "_hold", dying)
        async with moving(broker):
            await asyncio.wait_for(dead.wait(), 20)
    monkeypatch.setattr(Carrier, "_hold", noted)
    async with moving(broker):
        assert (await done(broker, order)).moved == 2
    assert repeated == [2]
    assert await kinds(broker) == ["h"] * 2 + ["q"] * 5
    assert await told(broker) == {"deferred": 2, "admin": 1}


async def test_a_message_of_rows_is_named_by_its_first_row(broker: Broker) -> None:
    """By that the recorder knows what it has recorded, also when it was started again."""
    await submit_all(broker, campaign(5))
    async with moving(broker):
        await done(broker, await give(broker))
    async for stored in listing.walk(broker, "EVENTS", "e.>"):
        assert stored.headers["Nats-Msg-Id"] == unpack(stored.body)[0]["id"]


@pytest.mark.parametrize("action", ["pause", "stop"])
@pytest.mark.parametrize("worth", [1, 100])
async def test_by_tag_among_others_of_the_same_campaign(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, action: str, worth: int
) -> None:
    """A campaign of which something stays is not purged, wherever that lies; one that goes as a whole is."""
    monkeypatch.setattr(removing, "WORTH", worth)
    purged = []
    purge = Broker.purge

    async def noted(self: Broker, stream: str, filter_: str, before: int = 0) -> int:
        purged.append(filter_.split(".")[5])
        return await purge(self, stream, filter_, before)

    monkeypatch.setattr(Broker, "purge", noted)
    stays = [make_entry(f"r{i}@d{i}.example", tags=("mixed",)) for i in range(2)]
    for entry in [
        stays[0], *campaign(5), *(make_entry(f"r{i}@d{i}.example", tags=("mixed", "web")) for i in range(9)),
        stays[1], *(make_entry(f"r{i}@d{i}.example", tags=("winter", "web")) for i in range(4)),
    ]:  # fmt: skip
        await submit(broker, entry)
    async with moving(broker):
        order = await give(broker, action, match=Match(tag="web"))
        assert (await done(broker, order)).moved == 18
    left = {listed.id for listed in (await entries(broker)).values() if listed.kind == "q"}
    assert left == {entry.id for entry in stays}
    assert await kinds(broker) == (["h"] * 18 if action == "pause" else []) + ["q", "q"]
    assert token("mixed") not in purged
    assert ({token("spring"), token("winter")} <= set(purged)) == (worth == 1)


async def test_all_on_the_filter_goes_by_one_purge(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_by_one(self: Broker, stream: str, sequence: int) -> None:
        pytest.fail("removed one by one")

    await submit_all(broker, campaign(10))
    monkeypatch.setattr(Broker, "remove", one_by_one)
    async with moving(broker):
        await done(broker, await give(broker, "stop", match=Match(tag="web")))
    assert await kinds(broker) == []
