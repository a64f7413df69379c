"""The worker: what it takes ends once, and what is not its own any more is left alone."""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from queue_support import Outlet, batch, connected, kinds, left, open_outlet, rows, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker
from common.config import Config
from common.content import store
from common.controls.watch import Watcher
from common.event import unpack
from common.ids import report_id
from common.key_store import KeyStore
from common.limits.client import Limiter
from common.limits.limit import Limit, What
from common.policies import reading
from common.policies.holds import Hold, Holds, lift
from common.policies.policies import Policies
from common.queue import consumers, listing, streams, take
from common.queue.room import ReportRoom
from common.queue.strikes import LIMIT, Strikes
from outbound import lobby
from outbound import park as park_module
from outbound import worker as worker_module
from outbound.delays import Delays
from outbound.failure import DeliveryFailure, permanent, temporary
from outbound.learn import Learner
from outbound.orders import Orders
from outbound.park import Parked
from outbound.prepare import Preparer
from outbound.reporter import Reporter
from outbound.routing import Route
from outbound.seat import NotNowError, Seat
from outbound.site import Delivered
from outbound.smtp import NOTHING, Envelope, Extensions
from outbound.ways import Way, Ways, from_rules
from outbound.worker import Worker

DELIVERED = Delivered(
    code=250, enhanced="2.0.0", text="ok", mx_host="mx", mx_address="192.0.2.1", tls_version="", tls_cipher="",
    time_connect=0, time_transfer=0, reused=False, source_address="192.0.2.9",
)  # fmt: skip


@dataclass(eq=False)
class Site:
    """A site that answers when its gate is open."""

    world: "World"
    key: str
    limit: int = 1
    busy: int = 0
    lines: int = 0
    waits_for: None = None
    down: float = 0
    down_failure: DeliveryFailure | None = None
    held: NotNowError | None = None
    offered: Extensions = NOTHING
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] = field(default_factory=list)
    """Recipients whose mail is or was under way."""

    def seat(self) -> Seat | None:
        if self.busy == self.limit:
            return None
        self.busy += 1
        return Seat(self, Limiter.alone().lease_now((), ""))  # type: ignore[arg-type]

    def left(self, _seat: Seat) -> None:
        self.busy -= 1
        self.world.on_free(self)

    async def deliver(
        self, _seat: Seat, _way: Way, envelope: Envelope, _message: bytes, begin: Callable[[], bool]
    ) -> Delivered:
        if self.held:
            raise self.held
        if not begin():
            raise NotNowError(0.0, None)
        self.asked.append(envelope.recipient)
        await self.gate.wait()
        return replace(DELIVERED, offered=self.offered)


class SiteByKey(defaultdict[str, Site]):
    def __init__(self, world: "World") -> None:
        self.world = world

    def __missing__(self, key: str) -> Site:
        self[key] = site = Site(self.world, key)
        return site


class World:
    """Router and sites: each domain has a site of its own; names are found when the gate is open."""

    def __init__(self) -> None:
        self.found = asyncio.Event()
        self.found.set()
        self.failure: Exception | None = None
        self.mute: set[str] = set()
        """Domains for which DNS never answers."""
        self.asked = 0
        self.sites = SiteByKey(self)
        self.on_free: Callable[[Site], None] = lambda _: None

    async def route(self, domain: str) -> Route:
        self.asked += 1
        found, failure = self.found, self.failure
        await (asyncio.Event() if domain in self.mute else found).wait()
        if failure:
            raise failure
        return Route(domain, (), 25)

    def get(self, key: str, _limits: tuple[Limit, ...], _source: str) -> Site:
        return self.sites[key]

    @property
    def busy(self) -> int:
        return sum(site.busy for site in self.sites.values())


@dataclass
class Working:
    """A worker at work."""

    worker: Worker
    outlet: Outlet
    world: World
    task: asyncio.Task[None]
    watch: list[asyncio.Task[None]]
    holds: Holds
    room: ReportRoom

    async def close(self) -> None:
        self.task.cancel()
        for task in self.watch:
            task.cancel()
        self.world.found.set()
        for task in self.worker._tasks if self.world.mute else ():
            task.cancel()
        for site in self.world.sites.values():
            site.gate.set()
        await self.worker.drain(5)
        await self.outlet.close()


async def start(
    broker: Broker,
    folder: Path,
    slot: str = "w0",
    max_store: int = 10**9,
    policies: list[dict[str, Any]] | None = None,
    **delivery: Any,
) -> Working:
    watcher = Watcher(broker, "default", slot, f"{slot}-1")
    await watcher.start()
    outlet, world = await open_outlet(broker, slot, f"{slot}-1"), World()
    keys = KeyStore("file://{data_dir}/{domain}.{selector}.pem", str(folder))
    preparer = Preparer(outlet.taker, keys, signature_required=False)
    parts: tuple[Any, Any] = world, world
    strikes = Strikes(broker, "default", slot)
    room = ReportRoom(broker, max_store)
    reporter = Reporter(outlet.taker, room, "mta.example", 86400)
    config = Config.model_validate({"delivery": delivery, "policies": policies or []})
    rules, holds = Policies(reading.of_config(config, None)), Holds()
    ways = Ways(from_rules(rules), holds, parts[0], "default", (), config.delivery.expire)
    learner = Learner(rules, holds, broker, outlet.finisher, slot)
    outlet.finisher.may_be_held = watcher.may_be_held
    orders = Orders(watcher, outlet.taker)
    delays = Delays(reporter, config.delivery.delay_report)
    worker = Worker(
        slot, ways, outlet.taker, outlet.finisher, preparer, reporter, delays, parts[1], strikes, learner, orders
    )
    watcher.on_change = worker.orders_changed
    watch = [asyncio.create_task(work) for work in (room.watch(), watcher.keep())]
    rules.on_change = holds.on_change = worker.park.look_again
    return Working(worker, outlet, world, asyncio.create_task(worker.run()), watch, holds, room)


@pytest.fixture
async def working(broker: Broker, tmp_path: Path) -> AsyncIterator[Working]:
    working = await start(broker, tmp_path)
    yield working
    await working.close()


def _waiting(worker: Worker) -> list[Parked]:
    return [parked for line in worker.park._lines.values() for parked in line.waiting]


async def finished(broker: Broker) -> bool:
    return not await left(broker)


async def test_what_is_delivered_is_told_and_gone(broker: Broker, working: Working) -> None:
    await submit(broker, *batch(6))
    await submit(broker, make_entry("x@d0.example"))
    for i in range(3):
        working.world.sites[f"d{i}.example"].gate.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert sorted(await rows(broker)) == ["accepted"] * 2 + ["delivered"] * 7
    assert not working.world.busy
    assert not working.worker.park.parked


async def test_dropped_during_its_lookup_leaks_no_slot(broker: Broker, working: Working) -> None:
    world, site = working.world, working.world.sites["a.example"]
    world.found.clear()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: world.asked == 1)
    await working.outlet.hand_out_again()
    await until(lambda: world.asked == 2)
    site.gate.set()
    world.found.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert site.asked == ["x@a.example"]
    assert not working.world.busy
    assert await rows(broker) == ["accepted", "delivered"]


@pytest.mark.parametrize("permanent", [False, True])
async def test_dropped_during_a_lookup_that_fails_is_neither_deferred_nor_bounced(
    broker: Broker, working: Working, permanent: bool
) -> None:
    world = working.world
    world.found.clear()
    world.failure = temporary("4.4.3", "no answer", phase="dns", reason="dns")
    world.failure.permanent = permanent
    await submit(broker, make_entry())
    await until(lambda: world.asked == 1)
    await working.outlet.taker.leave_all()
    world.found.set()
    await until(lambda: not working.worker._tasks)
    assert await kinds(broker) == ["q"]
    assert await rows(broker) == ["accepted"]


async def test_parked_mail_does_not_go_out_while_outcomes_cannot_be_stored(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    for i in range(3):
        await submit(broker, make_entry(f"r{i}@a.example"))
        await until(lambda i=i: working.world.asked == i + 1)  # one that lay there first is looked up, and comes later
    await until(lambda: working.worker.park.parked == 2)
    working.outlet.finisher.clear.clear()
    site.gate.set()
    await until(lambda: _is_left(broker, 2))  # the first has gone, so there is room at the site
    await until(lambda: working.worker.park.parked == 1)
    assert len(site.asked) == 1
    working.outlet.finisher.clear.set()
    await until(lambda: finished(broker))
    assert sorted(site.asked) == [f"r{i}@a.example" for i in range(3)]  # who is looked up first comes later


async def test_a_broker_away_stops_the_worker_and_lets_it_go_on(nats: Nats, broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    entries = [make_entry(f"r{i}@a.example") for i in range(6)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 5)
    nats.kill()
    site.gate.set()  # the one under way ends, and its outcome cannot be stored
    await until(lambda: not working.outlet.finisher.clear.is_set())
    nats.start()
    await until(lambda: broker.client.is_connected)
    await until(lambda: working.outlet.finisher.clear.is_set())
    await until(lambda: finished(broker))
    assert sorted(site.asked) == sorted(entry.recipient for entry in entries)
    assert sorted(await rows(broker)) == ["accepted"] * 6 + ["delivered"] * 6


async def test_a_full_park_has_room_again_when_what_it_holds_is_dropped(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED", 2)
    hanging, other = working.world.sites["a.example"], working.world.sites["b.example"]
    entries = [make_entry(f"r{i}@a.example") for i in range(3)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 2)
    for entry in entries:
        if entry.recipient not in hanging.asked:
            await broker.purge("MQ_default", subjects.submission("default", entry.submission))
    await working.outlet.hand_out_again()
    other.gate.set()
    for i in range(3):  # more than what was on its way when the park became full
        await submit(broker, make_entry(f"r{i}@b.example"))
    await until(lambda: len(other.asked) == 3)
    assert len(hanging.asked) == 1


SLOW = [f"slow{n}.example" for n in range(12)]


async def _spread(broker: Broker, domains: list[str], each: int) -> None:
    """Mails to several domains in turn."""
    for i in range(each):
        await asyncio.gather(*(submit(broker, make_entry(f"r{i}@{domain}")) for domain in domains))


async def test_many_slow_domains_together_fill_the_park_and_stop_nobody(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED", 60)
    monkeypatch.setattr(take, "FEW", 4)
    monkeypatch.setattr(take, "ALL_WAITING", 30)
    await _spread(broker, SLOW, 12)
    other = working.world.sites["b.example"]
    other.gate.set()
    await submit(broker, make_entry("x@b.example"))
    await until(lambda: other.asked)
    for site in working.world.sites.values():
        site.gate.set()
    await until(lambda: finished(broker))
    assert [len(site.asked) for site in working.world.sites.values() if site is not other] == [12] * 12


async def test_sites_that_hang_leave_room_for_the_others(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_SEATED", 10)
    monkeypatch.setattr(park_module, "LOOKS", 1)
    hanging, others = [working.world.sites[name] for name in SLOW[:3]], [working.world.sites[name] for name in SLOW[3:]]
    for site in hanging:
        site.limit = 4
    await _spread(broker, SLOW[:3], 8)
    await until(lambda: working.worker.park.parked + working.worker.park.seated == 24)
    assert sum(site.busy for site in hanging) < 10
    for site in others:
        site.gate.set()
    await _spread(broker, SLOW[3:], 2)
    await until(lambda: all(len(site.asked) == 2 for site in others))
    for site in hanging:
        site.gate.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert [len(site.asked) for site in hanging] == [8, 8, 8]
    assert not working.worker.park.seated


async def test_who_found_no_room_because_others_hang_goes_when_one_ends(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_SEATED", 3)
    await _spread(broker, SLOW[:5], 1)
    await until(lambda: working.worker.park.parked == 2)
    for _ in range(2):
        under_way = [site for site in working.world.sites.values() if site.busy]
        assert len(under_way) == 3
        under_way[0].gate.set()
        await until(lambda site=under_way[0]: not site.busy and working.world.busy == 3)
    for site in working.world.sites.values():
        site.gate.set()
    await until(lambda: finished(broker))


async def test_mail_that_waits_for_dns_is_not_being_worked_on(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_HANDLED", 5)
    monkeypatch.setattr(lobby, "MAX_WAITING_BYTES", 100)
    working.world.mute.update(SLOW)
    await _spread(broker, SLOW, 1)
    working.world.sites["b.example"].gate.set()
    await submit(broker, make_entry("x@b.example"))
    await until(lambda: working.world.sites["b.example"].asked)
    await until(lambda: working.worker.lobby.waiting == 12)
    kept = [taken.inline_size for taken in working.worker.lobby._waiting]
    assert 0 < sum(kept) == working.worker.lobby._bytes <= 100


async def test_domains_that_dns_does_not_answer_for_fill_the_lobby_and_stop_nobody(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby, "MAX_WAITING", 60)
    monkeypatch.setattr(take, "FEW", 4)
    monkeypatch.setattr(take, "ALL_WAITING", 6)
    working.world.mute.update(SLOW)
    await _spread(broker, SLOW, 12)
    others = {f"b{i}.example" for i in range(8)}  # in all lanes
    for domain in others:
        working.world.sites[domain].gate.set()
        await submit(broker, make_entry(f"x@{domain}"))
    await until(lambda: all(working.world.sites[domain].asked for domain in others))


async def test_priority_goes_first_in_the_park(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for priority in (4, 6, 5):
        await submit(broker, make_entry(f"p{priority}@a.example", priority=priority))
    await until(lambda: working.worker.park.parked == 3)
    site.gate.set()
    await until(lambda: finished(broker))
    assert site.asked == [f"{who}@a.example" for who in ("first", "p6", "p5", "p4")]


async def test_the_park_keeps_content_up_to_its_bound(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED_BYTES", 300)
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for i in range(3):
        await submit(broker, make_entry(f"r{i}@a.example"), content=store(os.urandom(200)))
    await until(lambda: working.worker.park.parked == 3)
    kept = [parked.taken.inline_size for parked in _waiting(working.worker)]
    assert sorted(kept) == [0, 0, working.worker.park.parked_bytes]
    assert 200 < working.worker.park.parked_bytes < 300
    site.gate.set()
    await until(lambda: finished(broker))
    assert len(site.asked) == 4
    assert working.worker.park.parked_bytes == 0


async def test_low_priority_has_its_share_of_the_park(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for i in range(12):
        await submit(broker, make_entry(f"low{i}@a.example", priority=0))
        await submit(broker, make_entry(f"high{i}@a.example", priority=9))
    await until(lambda: working.worker.park.parked == 24)
    site.gate.set()
    await until(lambda: finished(broker))
    assert [who[:3] for who in site.asked[1:14]].count("low") == 1
    assert len(site.asked) == 25


async def test_content_that_cannot_be_read_is_held_as_it_is_though_it_was_parked(
    broker: Broker, working: Working
) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: site.asked)
    await submit(broker, make_entry("y@a.example"), content=b"\x02of a later version")
    await until(lambda: working.worker.park.parked == 1)
    site.gate.set()
    await until(lambda: _is_held(broker))
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.entry
    assert held.entry.content == b"\x02of a later version"
    assert "schema version 2" in held.reason
    assert not working.world.busy


async def test_what_raises_again_and_again_is_held_with_the_error(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ACK_WAIT", 0.2)
    working = await start(broker, tmp_path)
    working.world.failure = KeyError("a bug\nof ours")
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: _is_held(broker), 60)
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.reason == "5 attempts at it failed by a mistake of Postjet, the last with KeyError('a bug\\nof ours')"
    assert working.world.asked == LIMIT
    assert await rows(broker) == ["accepted", "held"]
    assert not working.world.busy
    await working.close()


async def test_reports_leave_room_for_outcomes(nats: Nats, tmp_path: Path) -> None:
    """Their originals are many times what the store can hold; mail waits for room, and all of it ends."""
    nats.kill()
    nats.max_store = 3_000_000
    nats.start()
    count, content = 150, b"Subject: x\r\n\r\n" + os.urandom(40_000)
    async with connected(nats) as broker:
        await streams.ensure_surely(broker, ["default"], nats.max_store)
        working = await start(broker, tmp_path, max_store=nats.max_store, retry_first=1.0)
        working.world.failure = permanent("5.1.2", "no such domain", phase="dns", reason="dns")
        await submit(broker, *batch(count, size=len(content)), content=store(content))
        await until(lambda: finished(broker), 40)
        ended = Counter(await rows(broker))
        assert (ended["accepted"], ended["bounced"]) == (1 + count, 2 * count)
        assert ended["deferred"]
        await working.close()


async def test_what_raises_when_somebody_else_has_it_is_left_to_them(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.queue.strikes.LIMIT", 1)
    world = working.world
    world.found.clear()
    world.failure = KeyError("a bug of ours")
    await submit(broker, make_entry())
    await until(lambda: world.asked == 1)
    await working.outlet.taker.leave_all()
    world.found.set()
    await until(lambda: not working.worker._tasks)
    assert await kinds(broker) == ["q"]
    assert await rows(broker) == ["accepted"]


async def test_shared_content_that_is_missing_is_held(broker: Broker, working: Working) -> None:
    working.world.found.clear()
    await submit(broker, *batch(2))
    await broker.purge("BODY", "b.>")
    working.world.found.set()
    await until(lambda: _is_held(broker, 2))
    assert sorted(await rows(broker)) == ["accepted", "held", "held"]


async def test_what_was_purged_while_it_was_parked_is_forgotten(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "FRESH", 0)
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: site.asked)
    refused = make_entry("y@a.example")
    await submit(broker, refused)
    await until(lambda: working.worker.park.parked == 1)
    await broker.purge("MQ_default", subjects.submission("default", refused.submission))
    site.gate.set()
    await until(lambda: working.outlet.taker.held == 0)
    assert site.asked == ["x@a.example"]
    assert await left(broker) == {}
    assert await rows(broker) == ["accepted", "accepted", "delivered"]


async def test_an_expired_entry_ends(broker: Broker, working: Working) -> None:
    await submit(broker, make_entry(expires=1.0, sender=""))
    await until(lambda: finished(broker))
    assert await rows(broker) == ["accepted", "expired"]
    assert not working.world.asked


@pytest.mark.parametrize("how", ["expired", "bounced"])
async def test_the_sender_of_what_failed_is_told_and_nobody_of_what_became_of_that(
    broker: Broker, working: Working, how: str
) -> None:
    refused = temporary("5.1.2", "no such domain", phase="dns", reason="dns")
    refused.permanent, working.world.failure = True, refused
    about = make_entry("x@a.example", expires=1.0 if how == "expired" else 4e9)
    await submit(broker, about)
    await until(lambda: finished(broker))
    told = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    report = report_id(about.id)
    assert [(row["type"], row["submission"]) for row in told] == [
        ("accepted", about.submission), (how, about.submission), ("accepted", report), ("bounced", report),
    ]  # fmt: skip
    assert told[3]["recipient"] == about.sender
    assert "sender" not in told[3]


async def test_the_host_that_deferred_a_mail_is_remembered_for_its_report(broker: Broker, working: Working) -> None:
    later = temporary("4.7.1", "Later", phase="rcpt", reason="rejected")
    later.host, later.address = "mx.a.example", "192.0.2.1"
    working.world.failure = later
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: _is(broker, ["s"]))
    (deferred,) = [listed async for listed in listing.entries(broker, "default")]
    assert deferred.entry
    assert deferred.entry.last_host == "mx.a.example"
    assert deferred.entry.last_reply == "mx.a.example[192.0.2.1]: 451 4.7.1 Later"


NO_ANSWER = temporary("4.4.1", "no answer", phase="connect", reason="connect")


async def test_who_waits_for_a_site_that_is_down_makes_no_attempt(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 0.3, NO_ANSWER
    site.gate.set()
    for i in range(2):
        await submit(broker, make_entry(f"r{i}@a.example", attempts=3))
    await until(lambda: working.worker.park.parked == 2)
    (waiting,) = working.worker.park.holding()
    assert waiting.waits_for == "its site to be up again: 451 4.4.1 no answer"
    site.down, site.down_failure = 0, None
    await until(lambda: finished(broker))  # its time passes
    assert [row["attempt"] async for row in _rows(broker) if row["type"] != "accepted"] == [4, 4]


async def test_where_the_park_is_half_full_it_waits_as_a_schedule(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_PARKED", 2)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    for i in range(2):
        await submit(broker, make_entry(f"r{i}@a.example", attempts=3))
    await until(lambda: _is(broker, ["q", "s"]))
    (deferred,) = [listed async for listed in listing.entries(broker, "default") if listed.kind == "s"]
    assert deferred.entry
    assert (deferred.entry.attempts, deferred.entry.last_reply) == (3, "451 4.4.1 no answer")
    assert 3590 < datetime.fromisoformat(deferred.due).timestamp() - time.time() <= 3600
    assert site.asked == []


async def test_who_expires_while_it_waits_is_ended(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK", 0.05)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    ending = asyncio.create_task(working.worker.expire_parked())
    await submit(broker, make_entry("x@a.example", sender="", expires=time.time() + 0.3))
    await submit(broker, make_entry("y@a.example", sender=""))
    await until(lambda: _types(broker, "expired"))
    assert [listed.entry.recipient async for listed in listing.entries(broker, "default") if listed.entry] == [
        "y@a.example"
    ]
    assert working.worker.park.parked == 1
    ending.cancel()


async def test_a_policy_may_give_up_sooner(broker: Broker, tmp_path: Path) -> None:
    rule = {"domain": "b.example", "expire": "1h"}
    working = await start(broker, tmp_path, policies=[rule])
    for name in ("a", "b"):
        working.world.sites[f"{name}.example"].gate.set()
        age = 2 * 3600
        now = time.time()
        await submit(
            broker, make_entry(f"x@{name}.example", sender="", accepted=now - age, expires=now - age + 432_000)
        )
    await until(lambda: finished(broker))
    told = {row["recipient"]: row["type"] async for row in _rows(broker) if row["type"] != "accepted"}
    assert told == {"x@a.example": "delivered", "x@b.example": "expired"}
    await working.close()


async def test_a_suspension_holds_and_lets_go(broker: Broker, working: Working) -> None:
    site, holds = working.world.sites["a.example"], working.holds
    site.gate.set()
    hold = Hold("site:a.example", "suspend", time.time(), time.time() + 3600, "busy", "here:1", "421 Busy")
    await holds.place(broker, hold)
    await submit(broker, make_entry("x@a.example", attempts=3))
    await submit(broker, make_entry("x@b.example"))
    working.world.sites["b.example"].gate.set()
    await until(lambda: working.world.sites["b.example"].asked)
    await until(lambda: working.worker.park.parked == 1)
    (waiting,) = working.worker.park.holding()
    assert "site:a.example suspended by reply rule busy: 421 Busy" in waiting.waits_for
    assert site.asked == []
    await lift(broker, "site:a.example")
    await holds.look(broker)
    await until(lambda: finished(broker))
    assert site.asked == ["x@a.example"]


async def _reports(broker: Broker) -> list[dict[str, Any]]:
    """The ``accepted`` rows of reports."""
    return [row async for row in _rows(broker) if row["type"] == "accepted" and row.get("interface") == "report"]


def _later() -> DeliveryFailure:
    return temporary("4.7.1", "Later", phase="rcpt", reason="rejected")


async def test_who_asked_for_it_is_told_of_a_delay_once_and_between_tries(broker: Broker, tmp_path: Path) -> None:
    """The try that comes after it comes when it would have come anyway."""
    working = await start(broker, tmp_path, delay_report="2h", retry_first="3h", retry_jitter=0)
    working.world.failure = _later()
    now = time.time()
    entry = make_entry("x@a.example", notify="DELAY", accepted=now - 2 * 3600 + 2.5)
    await submit(broker, entry, make_entry("y@a.example", submission=entry.submission, number=2, accepted=now))
    await until(lambda: _is(broker, ["s", "s"]))
    assert await _reports(broker) == []
    (before,) = [one for one in await _listed(broker) if one.entry and one.entry.next_try]
    assert before.entry
    assert before.entry.next_try == pytest.approx(now + 3 * 3600, abs=5)
    await until(lambda: _reports(broker))
    [report] = await _reports(broker)
    assert report["submission"] == report_id(entry.id, "delay")
    assert report["meta"] == {"report_of": entry.id, "report_kind": "delay"}
    await until(lambda: _is(broker, ["s", "s", "s"]))  # the report is deferred too
    (after,) = [one for one in await _listed(broker) if one.id == entry.id]
    assert after.entry
    assert (after.entry.attempts, after.entry.reported, after.entry.next_try) == (1, "delay", 0)
    for one in (before, after):
        assert abs(datetime.fromisoformat(one.due).timestamp() - before.entry.next_try) < 1
    await working.close()


async def _listed(broker: Broker) -> list[listing.Listed]:
    return [one async for one in listing.entries(broker, "default")]


@pytest.mark.parametrize(
    ("asked", "kinds_"),
    [
        ({"notify": "DELAY"}, ["delay"]),
        ({"notify": "FAILURE"}, []),
        ({}, []),
        ({"notify": "NEVER", "deliver_by": 1.0}, []),
        ({"notify": "FAILURE", "deliver_by": 1.0}, []),
        ({"deliver_by": 1.0}, ["deliver-by"]),
        ({"notify": "DELAY", "deliver_by": 1.0}, ["deliver-by", "delay"]),
        ({"notify": "DELAY", "sender": ""}, []),
    ],
)
async def test_who_is_told_of_a_delay(
    broker: Broker, working: Working, asked: dict[str, Any], kinds_: list[str]
) -> None:
    """What is overdue is told at once; then the mail goes its way."""
    site = working.world.sites["a.example"]
    site.gate.set()
    entry = make_entry("x@a.example", accepted=time.time() - 5 * 3600, **asked)
    working.world.sites["sender.example"].gate.set()
    await submit(broker, entry)
    await until(lambda: finished(broker))
    assert [row["submission"] for row in await _reports(broker)] == [report_id(entry.id, kind) for kind in kinds_] + (
        [report_id(entry.id)] if entry.deliver_by and entry.notify != "NEVER" else []
    )
    assert site.asked == ["x@a.example"]
    of_mail = [row async for row in _rows(broker) if row.get("delivery") == entry.id][1:]
    told = [("deferred", 0)] * len(kinds_)
    assert [(row["type"], row.get("attempt", 0)) for row in of_mail] == [*told, ("delivered", 1)]


async def test_who_waits_in_the_park_is_told_too(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK", 0.05)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    looking = asyncio.create_task(working.worker.expire_parked())
    await submit(broker, make_entry("x@a.example", deliver_by=time.time() + 1.5))
    await until(lambda: working.worker.park.parked == 1)
    await until(lambda: _reports(broker))
    await until(lambda: working.worker.park.parked == 1)
    assert site.asked == []
    looking.cancel()


async def test_without_room_nobody_is_told_of_a_delay_and_the_mail_goes(broker: Broker, tmp_path: Path) -> None:
    working = await start(broker, tmp_path, max_store=1)
    await until(lambda: not working.room.reports)
    working.world.sites["a.example"].gate.set()
    await submit(broker, make_entry("x@a.example", notify="SUCCESS,DELAY", accepted=time.time() - 5 * 3600))
    await until(lambda: finished(broker))
    assert await rows(broker) == ["accepted", "deferred", "delivered"]
    await working.close()


@pytest.mark.parametrize(
    ("notify", "offered", "told"),
    [
        ("SUCCESS", Extensions(), True), ("SUCCESS,FAILURE", Extensions(deliver_by=True), True),
        ("SUCCESS", Extensions(dsn=True), False), ("FAILURE", Extensions(), False), ("NEVER", Extensions(), False),
        ("", Extensions(), False),
    ],
)  # fmt: skip
async def test_who_is_told_that_it_was_passed_on(
    broker: Broker, working: Working, notify: str, offered: Extensions, told: bool
) -> None:
    for domain in ("a.example", "sender.example"):
        working.world.sites[domain].gate.set()
    working.world.sites["a.example"].offered = offered
    entry = make_entry("x@a.example", notify=notify)
    await submit(broker, entry)
    await until(lambda: finished(broker))
    assert [row["submission"] for row in await _reports(broker)] == [report_id(entry.id)] * told
    types = ["accepted", "delivered"]
    assert await rows(broker) == types + types * told


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY", "SUCCESS,DELAY", "FAILURE", ""])
@pytest.mark.parametrize("how", ["expired", "bounced"])
async def test_who_is_told_of_a_failure(broker: Broker, working: Working, how: str, notify: str) -> None:
    working.world.failure = permanent("5.1.2", "no such domain", phase="dns", reason="dns")
    await submit(broker, make_entry("x@a.example", notify=notify, expires=1.0 if how == "expired" else 4e9))
    await until(lambda: finished(broker))
    told = notify in ("", "FAILURE")
    assert await rows(broker) == ["accepted", how, *["accepted", "bounced"] * told]


async def _rows(broker: Broker) -> AsyncIterator[dict[str, Any]]:
    async for stored in listing.walk(broker, "EVENTS", "e.>"):
        for row in unpack(stored.body):
            yield row


async def _types(broker: Broker, type_: str) -> bool:
    return type_ in [row["type"] async for row in _rows(broker)]


async def test_what_has_no_token_waits_without_an_attempt(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    site.gate.set()
    site.held = NotNowError(0.2, Limit("domain:a.example", What.MESSAGES, 1, 60.0))
    entries = [make_entry(f"r{i}@a.example", attempts=3) for i in range(2)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 2)
    (waiting,) = working.worker.park.holding()
    assert (waiting.waits_for, waiting.parked) == ("a token of 1/m for domain:a.example", 2)
    assert working.world.busy == 0
    assert site.asked == []
    site.held = None
    await until(lambda: finished(broker))
    assert sorted(await rows(broker)) == ["accepted"] * 2 + ["delivered"] * 2
    told = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    assert {row["attempt"] for row in told if row["type"] == "delivered"} == {4}
    assert working.worker.park.holding() == []
    assert not working.worker.park._lines


async def test_told_to_stop_nothing_begins_any_more(broker: Broker, working: Working) -> None:
    world = working.world
    world.found.clear()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: world.asked == 1)
    draining = asyncio.create_task(working.worker.drain(5))
    await asyncio.sleep(0)
    world.found.set()
    await draining
    assert world.sites["a.example"].asked == []
    assert working.worker.park.parked == 0


async def test_two_workers_of_which_one_is_told_to_stop(nats: Nats, broker: Broker, tmp_path: Path) -> None:
    """What it has begun is its own to the end; what it has not begun is the other's."""
    leaving = await start(broker, tmp_path, "w1")
    running, waiting = make_entry("running@a.example"), make_entry("waiting@a.example")
    await submit(broker, running)
    await until(lambda: leaving.world.sites["a.example"].asked)
    await submit(broker, waiting)
    await until(lambda: leaving.worker.park.parked == 1)
    async with connected(nats) as other:
        staying = await start(other, tmp_path, "w2")
        staying.world.sites["a.example"].gate.set()
        await until(lambda: staying.outlet.lanes._mine)
        leaving.task.cancel()  # from here on as outbound.main does when told to stop
        leaving.outlet.task.cancel()
        await leaving.outlet.taker.leave_all()
        left_ = asyncio.create_task(leaving.outlet.lanes.leave(leaving.worker.drain(30)))
        await until(lambda: staying.world.sites["a.example"].asked)
        leaving.world.sites["a.example"].gate.set()
        await left_
        assert await left(broker) == {}
        assert leaving.world.sites["a.example"].asked == [running.recipient]
        assert staying.world.sites["a.example"].asked == [waiting.recipient]
        assert await rows(broker) == ["accepted", "accepted", "delivered", "delivered"]
        await staying.close()


async def _is_left(broker: Broker, count: int) -> bool:
    return len(await left(broker)) == count


async def _is_held(broker: Broker, count: int = 1) -> bool:
    return (await kinds(broker)).count("h") == count == len(await left(broker))


async def _is(broker: Broker, expected: list[str]) -> bool:
    return await kinds(broker) == expected
