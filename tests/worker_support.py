"""A worker at work among sites that answer when they are told to."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from queue_support import Outlet, kinds, left, open_outlet, submit
from support import make_entry

from common.broker import Broker
from common.config import Config
from common.controls.watch import Watcher
from common.event import unpack
from common.key_store import KeyStore
from common.limits.client import Limiter
from common.limits.limit import Limit
from common.policies import reading
from common.policies.holds import Holds
from common.policies.policies import Policies
from common.queue import listing
from common.queue.room import ReportRoom
from common.queue.strikes import Strikes
from common.suppression.suppressions import Suppressions
from outbound.delays import Delays
from outbound.failure import DeliveryFailure, NotNowError, permanent, temporary
from outbound.learn import Learner
from outbound.line import Parked
from outbound.orders import Orders
from outbound.prepare import Preparer
from outbound.reporter import Reporter
from outbound.routing import Route
from outbound.seat import Seat
from outbound.site import Delivered
from outbound.smtp import NOTHING, Envelope, Extensions
from outbound.suppress import Suppressor
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
    source: str = ""
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
        self.dead: set[str] = set()
        """Domains that do not exist."""
        self.asked = 0
        self.sites = SiteByKey(self)
        self.on_free: Callable[[Site], None] = lambda _: None
        self.on_up: Callable[[Site], None] = lambda _: None

    async def route(self, domain: str) -> Route:
        self.asked += 1
        found, failure = self.found, self.failure
        await (asyncio.Event() if domain in self.mute else found).wait()
        if failure:
            raise failure
        if domain in self.dead:
            raise permanent("5.1.2", f"no such domain: {domain}", phase="dns", reason="dns")
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
    suppression: dict[str, Any] | None = None,
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
    config = Config.model_validate({"delivery": delivery, "policies": policies or [], "suppression": suppression or {}})
    rules, holds = Policies(reading.of_config(config, None)), Holds()
    ways = Ways(from_rules(rules), holds, parts[0], "default", (), config.delivery.expire)
    learner = Learner(rules, holds, broker, outlet.finisher, slot)
    outlet.finisher.may_be_held = watcher.may_be_held
    orders = Orders(watcher, outlet.taker)
    delays, suppressions = Delays(reporter, config.delivery.delay_report), Suppressions()
    worker = Worker(
        slot, ways, outlet.taker, outlet.finisher, preparer, reporter, delays, parts[1], strikes, learner, orders,
        Suppressor(broker, config.suppression, suppressions),
    )  # fmt: skip
    watcher.on_change = worker.orders_changed
    watch = [asyncio.create_task(work) for work in (room.watch(), watcher.keep(), suppressions.watch(broker, 0.02))]
    rules.on_change = holds.on_change = worker.park.look_again
    return Working(worker, outlet, world, asyncio.create_task(worker.run()), watch, holds, room)


def waiting(worker: Worker) -> list[Parked]:
    return [parked for line in worker.park._lines.values() for parked in line.waiting]


async def finished(broker: Broker) -> bool:
    return not await left(broker)


SLOW = [f"slow{n}.example" for n in range(12)]


async def spread(broker: Broker, domains: list[str], each: int) -> None:
    """Mails to several domains in turn."""
    for i in range(each):
        await asyncio.gather(*(submit(broker, make_entry(f"r{i}@{domain}")) for domain in domains))


NO_ANSWER = temporary("4.4.1", "no answer", phase="connect", reason="connect")


async def told_rows(broker: Broker) -> AsyncIterator[dict[str, Any]]:
    async for stored in listing.walk(broker, "EVENTS", "e.>"):
        for row in unpack(stored.body):
            yield row


async def is_told(broker: Broker, type_: str) -> bool:
    return type_ in [row["type"] async for row in told_rows(broker)]


async def is_left(broker: Broker, count: int) -> bool:
    return len(await left(broker)) == count


async def is_held(broker: Broker, count: int = 1) -> bool:
    return (await kinds(broker)).count("h") == count == len(await left(broker))


async def lies_as(broker: Broker, expected: list[str]) -> bool:
    return await kinds(broker) == expected
